"""Thousands of damaged image files through everything that reads images.

Whatever is in a file, reading it ends in pixels or in one sentence: no other exception, no hang,
and no memory beyond four times the decoded picture. The damage knows the formats: lengths, sizes,
counts and tags change, chunks vanish, move and double, with checksums that fit.

    python -m tests.mutants --count=5000
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import os
import signal
import struct
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.films import open_film
from deeperlab_tf.files.images import image_file_size, open_frames, read_image, read_mask
from deeperlab_tf.files.inputs import is_film

LIMIT_S = 20
ALLOWED = 4  # times the decoded picture
SLACK = 48 * 2**20  # bytes that a process takes beside pictures: libraries, buffers, metadata
FRAMES = 6  # of a film that are looked at

_NUMBERS = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 4095, 32767, 32768, 65535, 2**24, 2**31 - 1)
_NUMBERS += (2**31, 2**32 - 1)
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I": 4, "F": 4, "CMYK": 4, "RGBA": 4}


# === Whole files ===


def originals() -> list[bytes]:
    """Small files of every format, mode and kind of metadata."""
    y, x = np.mgrid[:24, :31]
    rgb = np.stack([9 * y, 8 * x, y * x % 256], -1).astype(np.uint8)
    picture = Image.fromarray(rgb)
    modes = {mode: picture.convert(mode) for mode in ("1", "L", "LA", "P", "RGBA", "CMYK")}
    modes["RGB"] = picture
    modes["I;16"] = Image.fromarray(rgb[..., 0].astype(np.uint16) * 257)
    modes["F"] = Image.fromarray(rgb[..., 0].astype(np.float32) / 255)
    modes["I"] = Image.fromarray(rgb[..., 0].astype(np.int32) * 2**20)
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b'<rdf:Description tiff:Orientation="8"/>'
    frames = [Image.fromarray(np.roll(rgb, 3 * step, 0)) for step in range(3)]
    film = dict(save_all=True, append_images=frames[1:], duration=40)

    files = [_encode(modes[mode], "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    files += [_encode(picture, "PNG", exif=exif), _encode(frames[0], "PNG", **film)]
    files += [_encode(modes[mode], "JPEG") for mode in ("L", "RGB", "CMYK")]
    files += [_encode(picture, "JPEG", exif=exif, xmp=xmp, progressive=True, comment=b"x" * 99)]
    files += [_encode(modes[mode], "TIFF") for mode in ("1", "L", "P", "RGB", "I;16", "F", "I")]
    ways = ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    files += [_encode(picture, "TIFF", compression=way) for way in ways]
    files += [_encode(frames[0], "TIFF", **film), _encode(picture, "TIFF", tiffinfo={274: 6})]
    files += [_encode(picture, "WEBP", lossless=lossless) for lossless in (False, True)]
    files += [_encode(picture, "WEBP", exif=exif), _encode(frames[0], "WEBP", **film)]
    files += [_encode(modes[mode], "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")]
    files += [_encode(picture, "GIF"), _encode(frames[0], "GIF", **film)]
    return files


def _encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# === Damage ===


def mutants(count: int, seed: int = 0) -> Iterator[bytes]:
    """Damaged files."""
    rng = np.random.default_rng(seed)
    files = originals()
    for number in range(count):
        data = bytearray(files[number % len(files)])
        for _ in range(rng.integers(1, 4)):
            damage = _DAMAGES[rng.integers(len(_DAMAGES))]
            data = bytearray(damage(data, rng)) or bytearray(b"\0")
        yield bytes(_with_checksums(data) if rng.random() < 0.8 else data)


def _flip(data, rng):
    for _ in range(rng.integers(1, 9)):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return data


def _cut(data, rng):
    return data[: rng.integers(len(data)) + 1]


def _splice(data, rng):
    """A stretch is taken out, doubled, blanked or put elsewhere."""
    first, last = sorted(rng.integers(0, len(data) + 1, 2))
    piece, rest = data[first:last], data[:first] + data[last:]
    place = rng.integers(len(rest) + 1)
    pieces = (b"", piece * 2, bytes(len(piece)), rng.bytes(len(piece)))
    if rng.random() < 0.5:
        return rest[:place] + piece + rest[place:]
    return data[:first] + pieces[rng.integers(len(pieces))] + data[last:]


def _renumber(data, rng):
    """A field of the first 200 bytes, where headers and directories are, takes an odd value."""
    size = int(rng.choice([1, 2, 2, 4, 4]))
    start = int(rng.integers(0, max(min(len(data), 200) - size, 1)))
    value = _NUMBERS[rng.integers(len(_NUMBERS))] % 256**size
    order = "little" if rng.random() < 0.5 else "big"
    data[start : start + size] = value.to_bytes(size, order)
    return data


def _part(data, rng):
    """A chunk, segment or directory entry vanishes, is doubled, moved or gets another length."""
    places = _parts(bytes(data))
    if not places:
        return _flip(data, rng)
    start, end = places[rng.integers(len(places))]
    piece = data[start:end]
    way = rng.integers(5)
    if way == 0:
        return data[:start] + data[end:]
    if way == 1:
        return data[:end] + piece + data[end:]
    if way == 2:
        other, _ = places[rng.integers(len(places))]
        rest = data[:start] + data[end:]
        return rest[:other] + piece + rest[other:]
    if way == 3:
        return data[:start] + _metadata(rng) + data[start:]
    offset = int(rng.integers(0, 12))
    value = _NUMBERS[rng.integers(len(_NUMBERS))] % 2**32
    data[start + offset : start + offset + 4] = value.to_bytes(4, "big")
    return data


def _metadata(rng):
    """A PNG chunk of orientation, animation or text, with random content."""
    kind = (b"eXIf", b"acTL", b"iTXt", b"fcTL", b"tRNS", b"PLTE", b"zTXt")[rng.integers(7)]
    heads = {b"eXIf": b"II*\0\x08\0\0\0", b"iTXt": b"XML:com.adobe.xmp\0\0"}
    content = heads.get(kind, b"") + rng.bytes(int(rng.integers(0, 40)))
    return struct.pack(">I", len(content)) + kind + content + bytes(4)


def _parts(data):
    """(start, end) of a PNG's chunks, a JPEG's segments, a WebP's chunks or a TIFF's entries."""
    places, position = [], 0
    if data[:4] == b"\x89PNG":
        position = 8
        while position + 12 <= len(data):
            end = position + 12 + int.from_bytes(data[position : position + 4], "big")
            places.append((position, min(end, len(data))))
            position = end
    elif data[:2] == b"\xff\xd8":
        position = 2
        while position + 4 <= len(data) and data[position] == 0xFF:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            places.append((position, min(end, len(data))))
            position = end
    elif data[:4] == b"RIFF":
        position = 12
        while position + 8 <= len(data):
            end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "little")
            places.append((position, min(end, len(data))))
            position = end + end % 2
    elif data[:2] == b"II":
        start = int.from_bytes(data[4:8], "little") + 2
        number = int.from_bytes(data[start - 2 : start], "little")
        for index in range(min(number, 40)):
            places.append((start + 12 * index, start + 12 * index + 12))
    return places


def _with_checksums(data):
    """A PNG's checksums made to fit, without which its readers would stop at once."""
    if data[:4] != b"\x89PNG":
        return data
    for start, end in _parts(bytes(data)):
        if end - start >= 12:
            checksum = zlib.crc32(bytes(data[start + 4 : end - 4]))
            data[end - 4 : end] = checksum.to_bytes(4, "big")
    return data


_DAMAGES = (_flip, _cut, _splice, _renumber, _renumber, _part, _part)


# === Reading ===


def read_everything(path: str) -> str:
    """What became of a file: "read" or "refused"; other exceptions than `UserError` pass."""
    outcome = "refused"
    for read in (image_file_size, read_mask, is_film, _read_frames, read_image):
        with contextlib.suppress(UserError):
            read(path)
            outcome = "read" if read is read_image else outcome
    return outcome


def _read_frames(path):
    # Only the readers of animations: OpenCV's would take any file for a video.
    if is_film(path):
        for number, _ in enumerate(open_film(path)):
            if number == FRAMES:
                break


def decoded_bytes(path: str) -> int:
    """Of the picture that a file claims to hold, as RGB or as stored, whichever is larger."""
    try:
        with open_frames(path, "image") as image:
            return image.width * image.height * max(_BYTES.get(image.mode, 3), 3)
    except UserError:
        return 0


def memory(field: str) -> int:
    """Bytes: VmRSS, what this process holds, or VmHWM, the most since it was asked last."""
    with open("/proc/self/status", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines[field].split()[0]) * 1024


def forget_peak() -> None:
    """Lets the largest memory start anew."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


class _OutOfTime(BaseException):
    """No codec's error: what turns those into sentences does not see it."""


def _out_of_time(*_):
    raise _OutOfTime(f"more than {LIMIT_S} s")


def run(count: int, seed: int = 0) -> tuple[collections.Counter, list[str]]:
    """Reads mutants.

    Returns:
      how many were read and how many refused, and what went wrong: number of the mutant and how.
    """
    outcomes, faults = collections.Counter(), []
    measures_memory = os.access("/proc/self/clear_refs", os.W_OK)
    signal.signal(signal.SIGALRM, _out_of_time)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = os.path.join(folder, "mutant")
        for number, data in enumerate(mutants(count, seed)):
            with open(path, "wb") as file:
                file.write(data)
            limit = ALLOWED * decoded_bytes(path) + SLACK
            if measures_memory:
                forget_peak()
                before = memory("VmRSS")
            signal.alarm(LIMIT_S)
            try:
                outcomes[read_everything(path)] += 1
            except (Exception, _OutOfTime) as error:  # what must not happen, whatever it is
                faults.append(f"mutant {number}: {type(error).__name__}: {error}")
            finally:
                signal.alarm(0)
            used = memory("VmHWM") - before if measures_memory else 0
            if used > limit:
                faults.append(f"mutant {number}: {used} bytes of memory where {limit} are allowed")
    return outcomes, faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    outcomes, faults = run(arguments.count, arguments.seed)
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    print(f"{arguments.count} mutants: {told}; {len(faults)} faults", end=" ")
    print(f"in {time.perf_counter() - start:.0f} s")
    print("\n".join(faults[:50]))
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
