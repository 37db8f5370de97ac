"""Films of every rate and size are written, or the real reason is told; animated pictures read."""

import cv2
import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.films import VideoReader, VideoWriter, broke_off, open_film


def write(path, rate=25.0, size=(48, 64), count=6):
    with VideoWriter(str(path), rate) as writer:
        for number in range(count):
            writer.write(np.full((*size, 3), 20 * number, np.uint8))


@pytest.mark.parametrize("rate", [211.222, 1000.0, 120.001, 29.97002997, 65535.0, 7.5, 0.02, 1e-9])
def test_every_rate_is_written(tmp_path, rate):
    write(tmp_path / "film.mp4", rate)
    reader = VideoReader(str(tmp_path / "film.mp4"))
    assert reader.expected == len(list(reader)) == 6
    assert reader.frames_per_second == pytest.approx(max(rate, 0.01), rel=1e-3)


@pytest.mark.parametrize(
    "size, even", [((1, 1), (2, 2)), ((5, 3), (6, 4)), ((16, 9001), (16, 9002))]
)
def test_every_size_is_written_whole(tmp_path, size, even):
    write(tmp_path / "film.mp4", size=size)
    assert [frame.shape for frame in VideoReader(str(tmp_path / "film.mp4"))] == [(*even, 3)] * 6


def test_what_no_mp4_holds_is_told_with_the_reason(tmp_path):
    with pytest.raises(UserError, match="70000 x 4 are larger than the 65535 pixels"):
        write(tmp_path / "film.mp4", size=(4, 70000))


@pytest.mark.parametrize("name", ["film%03d [1].mp4", "x.ts", "x.3gp", "x.mkv", "ü.mov"])
def test_every_name_and_container_is_read(tmp_path, name):
    path = str(tmp_path / name)
    code = cv2.VideoWriter_fourcc(*("mpg2" if name.endswith(".ts") else "mp4v"))
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, code, 25.0, (64, 48))
    for number in range(5):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    assert len(list(open_film(path))) == 5


@pytest.mark.parametrize("ending, mode", [("gif", "P"), ("png", "RGB"), ("webp", "RGB")])
def test_animated_pictures_are_read_frame_by_frame(tmp_path, ending, mode):
    path = tmp_path / f"film.{ending}"
    pictures = [np.full((5, 7, 3), value, np.uint8) for value in (0, 102, 204)]
    frames = [Image.fromarray(picture).convert(mode) for picture in pictures]
    options = dict(lossless=True) if ending == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 40, 120], **options)
    reader = open_film(str(path))
    assert reader.expected == 3 and reader.frames_per_second == pytest.approx(15)
    for frame, picture in zip(reader, pictures):
        np.testing.assert_array_equal(frame, picture)


def test_an_animation_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("RGB", (7, 5), (value, 0, 0)) for value in (0, 90)]
    options = dict(save_all=True, append_images=frames[1:], exif=exif)
    for name in ("x.png", "x.webp"):
        frames[0].save(tmp_path / name, **options)
        assert [frame.shape for frame in open_film(str(tmp_path / name))] == [(7, 5, 3)] * 2


def test_a_cut_off_gif_gives_the_frames_it_has(tmp_path):
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)) for _ in range(10)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    data = (tmp_path / "film.gif").read_bytes()
    (tmp_path / "film.gif").write_bytes(data[: len(data) // 2])
    assert 0 < len(list(open_film(str(tmp_path / "film.gif")))) < 10


def test_a_few_frames_less_than_claimed_are_no_break():
    assert not broke_off(98, 100) and not broke_off(8, 10) and not broke_off(960, 1000)
    assert broke_off(10, 20) and broke_off(900, 1000)
    assert not broke_off(5, 0) and not broke_off(30, 27)


def test_a_still_picture_is_no_film(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    with pytest.raises(UserError, match="is a picture, not a film"):
        open_film(str(tmp_path / "x.png"))
