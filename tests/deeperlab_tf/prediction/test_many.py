"""Many images: what is wrong with one does not keep the others from their parses."""

import json
import os
import threading

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.films import VideoWriter
from deeperlab_tf.files.inputs import find_inputs
from deeperlab_tf.prediction.many import (
    Job,
    check_job,
    complain,
    one_ahead,
    parse_files,
    parse_films,
)
from deeperlab_tf.prediction.parsing import Parsing


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("a.jpg", "a.png", "b.png", "c.png")):
        Image.new("RGB", (12, 8), (40 * number, 0, 0)).save(folder / name)
    return folder


@pytest.fixture
def job_of(tmp_path):
    """Function (input) that gives its job."""

    def make(path, kinds=()):
        return Job.of(find_inputs(str(path)), str(tmp_path / "out"), kinds)

    return make


@pytest.fixture
def parse(toy_dataset):
    """Parses of one class, in batches whose sizes are noted."""

    def run(files, images):
        assert len(files) == len(images) <= 2
        labels = [np.zeros(image.shape[:2], np.int32) for image in images]
        return [Parsing.from_maps(m, m, toy_dataset, i) for m, i in zip(labels, images)]

    return run


def test_a_bad_file_is_named_and_counted_and_the_rest_is_parsed(photos, job_of, parse, capsys):
    whole = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(whole[:-20])
    (photos / ("n" * 250 + ".png")).write_bytes(whole)
    job = job_of(photos)
    check_job(job)
    left_out = parse_files(job, parse, batch_size=2)
    assert [os.path.basename(file) for file in left_out] == ["b.png", "n" * 250 + ".png"]
    told = capsys.readouterr().err
    assert "b.png cannot be read (it is cut off)" in told
    assert "would have a name of 262 bytes, of which the disk takes 255" in told
    with pytest.raises(UserError, match=r"2 of 5 images were left out.*the other 3 are in"):
        complain(job, left_out)
    written = sorted(os.listdir(job.output))
    stems = ("a_jpg", "a_png", "c")
    endings = (".json", ".png", "_overlay.jpg")
    assert written == sorted(stem + ending for stem in stems for ending in endings)
    info = json.loads((photos.parent / "out" / "a_png.json").read_text())["info"]
    assert info["source"] == "a.png" and sorted(info["files"]) == ["a_png.png", "a_png_overlay.jpg"]


def test_a_second_run_replaces_its_results_and_parses_none_of_them(photos, job_of, parse):
    job = job_of(photos)._replace(output=str(photos / "parses"))
    for _ in range(2):
        again = job_of(photos)._replace(output=job.output)
        assert again == job
        check_job(again)
        assert parse_files(again, parse, batch_size=2) == []


def test_the_photos_themselves_are_never_in_the_way_silently(photos, job_of, parse):
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    job = job_of(photos / "b.png")._replace(output=str(photos))
    with pytest.raises(UserError, match=r"b\.png exists already and is not a result"):
        check_job(job)
    with pytest.raises(UserError, match=r"b\.png exists already and is not a result"):
        parse_files(job, parse, batch_size=1)
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == before


def test_one_image_alone_is_its_own_reason(photos, job_of, parse):
    (photos / "c.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"c\.png cannot be read"):
        job = Job({"c": str(photos / "c.png")}, str(photos / "out"))
        check_job(job)
    for name in ("a.jpg", "a.png", "b.png"):
        (photos / name).unlink()
    with pytest.raises(UserError, match=r"c\.png cannot be read"):
        check_job(job_of(photos))
    (photos / "d.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"none of 2 images can be read; the first: .*c\.png"):
        check_job(job_of(photos))


def test_errors_of_single_images_come_from_the_parser_too(photos, job_of, parse):
    def picky(files, images):
        parsings = parse(files, images)
        return [UserError("too red") if "b.png" in f else p for f, p in zip(files, parsings)]

    job = job_of(photos)
    left_out = parse_files(job, picky, batch_size=2)
    assert [os.path.basename(file) for file in left_out] == ["b.png"]


def test_files_are_read_and_written_while_others_are_parsed(photos, job_of, parse):
    is_second_read, is_first_written = threading.Event(), threading.Event()

    class Files(dict):
        """Tells when the second file is asked for."""

        def items(self):
            for number, item in enumerate(super().items()):
                if number == 1:
                    is_second_read.set()
                yield item

    def parse_slowly(files, images):
        awaited = is_second_read if "a.jpg" in files[0] else is_first_written
        assert awaited.wait(timeout=60)
        return parse(files, images)

    def pictures(parsing):
        is_first_written.set()
        return {}

    job = job_of(photos)
    job = job._replace(files=Files(job.files))
    assert parse_files(job, parse_slowly, 1, pictures) == []
    assert len(os.listdir(job.output)) == 3 * 4


def test_what_cannot_be_written_ends_the_work(photos, job_of, parse):
    def full(_):
        raise UserError("no space is left")

    with pytest.raises(UserError, match="no space is left"):
        parse_files(job_of(photos), parse, 1, full)


def test_one_ahead_keeps_the_order_and_raises_in_turn():
    done = []

    def root(number):
        done.append(number)
        if number == 4:
            raise UserError("four")
        return number**2

    results = one_ahead(root, iter(range(10)))
    assert [next(results) for _ in range(4)] == [0, 1, 4, 9]
    with pytest.raises(UserError, match="four"):
        next(results)
    assert done[-1] in (4, 5)
    assert list(one_ahead(root, [])) == []


@pytest.mark.parametrize("size, overlay", [((2, 70000), ".png"), ((70000, 2), ".png")])
def test_pictures_larger_than_a_jpeg_are_written_whole(toy_dataset, tmp_path, size, overlay):
    labels = np.zeros(size, np.int32)
    parsing = Parsing.from_maps(labels, labels, toy_dataset, np.zeros((*size, 3), np.uint8))
    parsing.save(tmp_path, "wide")
    assert sorted(os.listdir(tmp_path)) == ["wide.json", "wide.png", f"wide_overlay{overlay}"]
    with Image.open(tmp_path / f"wide_overlay{overlay}") as picture:
        assert picture.size == size[::-1]


def test_films_of_a_folder_are_parsed_beside_its_images(photos, job_of, parse, capsys):
    frames = [Image.new("RGB", (12, 8), (60 * step, 0, 0)) for step in range(3)]
    frames[0].save(photos / "b.gif", save_all=True, append_images=frames[1:])
    with VideoWriter(str(photos / "drive.mp4"), 10.0) as writer:
        for _ in range(4):
            writer.write(np.full((8, 12, 3), 99, np.uint8))
    (photos / "broken.mp4").write_bytes(b"no video")
    job = job_of(photos)
    check_job(job)
    assert parse_files(job, parse, batch_size=2) == []
    count, left_out = parse_films(job, lambda images: parse(images, images), batch_size=2)
    assert (count, left_out) == (7, [str(photos / "broken.mp4")])
    assert "broken.mp4 is not a video" in capsys.readouterr().err
    with pytest.raises(UserError, match="1 of 7 files were left out"):
        complain(job, left_out)
    # A film and a picture of one name do not share results.
    written = set(os.listdir(job.output))
    assert {"b_gif.json", "b_gif_overlay.mp4", "b_png.json", "drive_overlay.mp4"} <= written
    # What was written is not parsed again.
    (photos / "out").symlink_to(job.output)
    assert job_of(photos) == job


def test_a_film_in_whose_way_a_file_of_the_users_is_stops_the_work(photos, job_of):
    with VideoWriter(str(photos / "drive.mp4"), 10.0) as writer:
        writer.write(np.full((8, 12, 3), 99, np.uint8))
    job = job_of(photos)
    os.makedirs(job.output)
    with open(os.path.join(job.output, "drive.json"), "w") as file:
        file.write("{}")
    with pytest.raises(UserError, match=r"drive\.json exists already"):
        check_job(job)
