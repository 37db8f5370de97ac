"""Films: frames from videos and animated pictures, and frames into an MP4."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import cv2
import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import decoding, image_orientation, is_animated, open_frames
from deeperlab_tf.files.orientation import turn_upright
from deeperlab_tf.files.pixels import to_rgb

_BITS = 8  # of a sample of an animation

_USUAL_RATE = 25.0  # frames per second, of files that do not say
_LEAST_RATE, _LARGEST_RATE = 0.01, 65535.0  # that an MP4 holds
_USUAL_PAUSE = 100  # milliseconds a picture stands that does not say, as in browsers
_TOLD_WHEN_LOADED = ("WEBP", "AVIF")  # formats whose pauses Pillow knows once a frame is decoded
# Containers count their frames from durations and rates, a little wrong.
_FEW_FRAMES, _FEW_PERCENT = 2, 5

# What an MP4 takes: MPEG-4, which plays everywhere, up to 13 bits a side, VP9 up to 16.
_CODECS = (("mp4v", 2**13 - 1), ("vp09", 2**16 - 1))


class FilmReader(Protocol):
    """Frames of a film, uint8 [H, W, 3], RGB, upright.

    Attributes:
      frames_per_second: of the film.
      expected: number of frames the file claims to have, 0 if it does not say.
    """

    frames_per_second: float
    expected: int

    def __iter__(self) -> Iterator[np.ndarray]: ...


def open_film(path: str) -> FilmReader:
    """The reader of a film.

    Args:
      path: a video, or an animated GIF, PNG or WebP.

    Raises:
      UserError: it is neither.
    """
    try:
        animated = is_animated(path)
    except UserError:  # no picture at all
        return VideoReader(path)
    if not animated:
        raise UserError(f"{path} is a picture, not a film; give it as an image.")
    return AnimationReader(path)


def broke_off(read: int, expected: int) -> bool:
    """Whether a film ended well before the frames it claims to have."""
    missing = expected - read
    return missing > max(_FEW_FRAMES, expected * _FEW_PERCENT / 100)


class VideoReader:
    """Frames of a video file; a `FilmReader`.

    Args:
      path: the file.

    Raises:
      UserError: the file is not a video that can be read.
    """

    def __init__(self, path: str) -> None:
        self._copies = contextlib.ExitStack()
        local = self._copies.enter_context(storage.local_copy(path))
        # By name, for OpenCV's other readers take `%03d` in a name for a pattern.
        self._capture = cv2.VideoCapture(local, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise UserError(f"{path} is not a video that can be read; give another file.")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_second = rate if 0 < rate <= _LARGEST_RATE else _USUAL_RATE
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.expected = int(count) if 0 < count < 2**31 else 0

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            there, frame = self._capture.read()
            if not there:
                self._capture.release()
                self._copies.close()
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


class AnimationReader:
    """Frames of an animated GIF, PNG or WebP; a `FilmReader`.

    The rate is the mean of the frames'.

    Args:
      path: the file.

    Raises:
      UserError: the file is broken.
    """

    def __init__(self, path: str) -> None:
        self._path, pauses = path, []
        with open_frames(path, "film") as image, decoding(path, "film"):
            self.expected = int(image.n_frames)
            for number in range(self.expected):
                if not _seek(image, number):
                    break
                if image.format in _TOLD_WHEN_LOADED:
                    image.load()
                pauses.append(image.info.get("duration") or _USUAL_PAUSE)
        self.frames_per_second = 1000 / float(np.mean(pauses or [_USUAL_PAUSE]))

    def __iter__(self) -> Iterator[np.ndarray]:
        with open_frames(self._path, "film") as image:
            orientation = image_orientation(image)
            for number in range(self.expected):
                try:
                    with decoding(self._path, "film"):
                        image.seek(number)
                        image.load()
                        # Without a copy of the picture: Pillow holds it twice already.
                        info = dict(image.info)
                        frame = to_rgb(image, _BITS, str(self._path))
                        image.info.update(info)
                        frame = turn_upright(frame, orientation)
                except UserError:  # it breaks off
                    return
                yield frame


def _seek(image, number):
    try:
        image.seek(number)
    except EOFError:
        return False
    return True


class VideoWriter:
    """Writes frames as an MP4; a context manager. The first frame sets the size.

    A frame of an odd side is continued by a pixel, for an MP4 has even sides.

    Args:
      path: the file.
      frames_per_second: how fast it plays; rounded to what an MP4 holds, by less than a thousandth.
    """

    def __init__(self, path: str, frames_per_second: float) -> None:
        self._path, self._rate = path, _rate_of_mp4(frames_per_second)
        self._writer = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_) -> None:
        if self._writer is not None:
            self._writer.release()

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame, uint8 [H, W, 3], RGB.

        Raises:
          UserError: the frame is larger than an MP4 may be, or OpenCV cannot write this format
            here.
        """
        height, width = frame.shape[:2]
        even = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._writer is None:
            self._writer = self._open(even.shape[1], even.shape[0])
        self._writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))

    def _open(self, width, height):
        largest = _CODECS[-1][1]
        if max(width, height) > largest:
            raise UserError(
                f"cannot write the film: its frames of {width} x {height} are larger than the "
                f"{largest} pixels a side that an MP4 takes; make the film smaller."
            )
        for codec, side in _CODECS:
            if max(width, height) <= side:
                code = cv2.VideoWriter_fourcc(*codec)
                size = (width, height)
                writer = cv2.VideoWriter(self._path, cv2.CAP_FFMPEG, code, self._rate, size)
                if writer.isOpened():
                    return writer
        raise UserError(
            f"cannot write a film of {width} x {height} at {self._rate:g} frames a second: this "
            "OpenCV has no MP4 encoder for it; install opencv-python-headless from PyPI."
        )


def _rate_of_mp4(rate):
    """The nearest rate whose numerator, in tenths, hundredths or thousandths, has 16 bits."""
    rate = min(max(rate, _LEAST_RATE), _LARGEST_RATE)
    decimals = next(count for count in (3, 2, 1, 0) if rate * 10**count <= _LARGEST_RATE)
    return round(rate, decimals)
