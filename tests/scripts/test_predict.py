"""Parses from the command line, and one sentence for each mistake."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.films import open_film
from deeperlab_tf.files.images import read_image
from deeperlab_tf.visualize.drawing import write_image


@pytest.fixture(scope="session")
def images():
    """Three photos, two of one size."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((48, 64), (48, 64), (40, 30))]


@pytest.mark.slow
def test_folder_of_images_gives_parses_of_their_sizes(program, error_of, workdir, images, tmp_path):
    for name, image in zip(("a.png", "b.png", "sub/a.png"), images):
        write_image(str(tmp_path / "photos" / name), image)
    cv2.imwrite(str(tmp_path / "photos" / "a.jpg"), images[0])
    kinds = ("semantic", "instances", "detection", "heatmap", "offsets", "sheet")
    flags = [f"--input={tmp_path / 'photos'}", f"--output={tmp_path / 'out'}"]
    flags += [f"--pictures={kind}" for kind in kinds]
    # A file that is broken is named and counted; hidden ones and results are passed over.
    (tmp_path / "photos" / "c.png").write_bytes(b"no image")
    (tmp_path / "photos" / "._a.png").write_bytes(b"no image")
    done = program("predict.py", f"--model={workdir}", *flags)
    assert "1 of 5 images were left out" in error_of(done)
    assert "left out: image" in done.stderr and "c.png cannot be read" in done.stderr
    assert "parsed 4 images" in done.stdout
    sizes = {"a_jpg": (48, 64), "a_png": (48, 64), "b": (48, 64), "sub/a": (40, 30)}
    for name, size in sizes.items():
        files = PanopticFiles(str(tmp_path / "out" / f"{name}.json"), str(tmp_path / "out"))
        assert files.read_labels(name)[0].shape == size
        overlay = read_image(str(tmp_path / "out" / f"{name}_overlay.jpg"))
        assert max(overlay.shape) >= 400
        for kind in kinds:
            assert (tmp_path / "out" / f"{name}_{kind}.png").exists()


@pytest.mark.slow
def test_results_are_written_of_all_photos_that_can_be_read(
    program, error_of, workdir, images, tmp_path
):
    for name, image in zip(("a.png", "c.png"), images):
        write_image(str(tmp_path / "photos" / name), image)
    (tmp_path / "photos" / "b.png").write_bytes(b"no image")
    (tmp_path / "evaluate.py").symlink_to("disk/new")
    data = (f"--config.data.root={tmp_path / 'photos'}", "--config.data.dataset=folder")
    programs = {
        "predict.py": [f"--input={tmp_path / 'photos'}"],
        "evaluate.py": ["--nolabelled", "--split=test", *data],
    }
    for name, flags in programs.items():
        output = tmp_path / name
        flags += [f"--model={workdir}", "--results=coco", f"--output={output}"]
        done = program(name, *flags)
        assert "1 of 3 images were left out" in error_of(done) and "b.png" in error_of(done)
        assert "parsed 2 photos" in done.stdout
        written = {path.name for path in (output / "results_coco").iterdir()}
        assert written == {"a.png", "c.png", "parses.json"}


def test_an_output_that_is_there_is_told_before_the_work(program, error_of, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    there = (f"--output={mine}", "--model=nowhere", "--results=coco")
    for name, *flags in (
        ("predict.py", "--input=nowhere", *there),
        ("evaluate.py", "--nolabelled", *there),
        ("convert_dataset.py", "--dataset=voc", "--root=nowhere", f"--output={mine}"),
    ):
        assert "mine exists already" in error_of(program(name, *flags))
    assert mine.read_text() == "mine"


def test_bad_input_is_one_line_and_status_one(program, error_of, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    write_image(str(tmp_path / "good.png"), np.zeros((4, 4, 3), np.uint8))
    cases = {
        "no file or folder": (tmp_path / "nowhere", tmp_path),
        "has no images": (tmp_path / "empty", tmp_path),
        "broken.png cannot be read": (tmp_path / "photos", tmp_path),
        "neither a training": (tmp_path / "good.png", tmp_path / "empty"),
    }
    for message, (source, model) in cases.items():
        flags = (f"--model={model}", f"--input={source}", f"--output={tmp_path / 'out'}")
        assert message in error_of(program("predict.py", *flags))
        assert not (tmp_path / "out").exists()


def test_nothing_of_the_users_is_written_over(program, error_of, tmp_path):
    photo, labels = tmp_path / "photo.png", tmp_path / "other.json"
    write_image(str(photo), np.full((4, 4, 3), 9, np.uint8))
    write_image(str(tmp_path / "other.jpg"), np.full((4, 4, 3), 9, np.uint8))
    labels.write_text('{"shapes": []}')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for source, name in ((photo, "photo.png"), (tmp_path / "other.jpg", "other.json")):
        flags = (f"--input={source}", f"--output={tmp_path}", f"--model={tmp_path}")
        done = program("predict.py", *flags)
        assert f"{name} exists already and is not a result of this input's" in error_of(done)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_tilde_is_the_home_folder(program, error_of, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    done = program("predict.py", "--input=~/photo.jpg", "--output=~/out", "--model=~/run")
    assert f"there is no file or folder {tmp_path}/photo.jpg" in error_of(done)


@pytest.mark.slow
def test_a_gif_is_parsed_as_a_film(program, workdir, tmp_path):
    frames = [Image.fromarray(np.full((9, 7, 3), 60 * step, np.uint8)) for step in range(3)]
    frames[0].save(tmp_path / "clip [1].gif", save_all=True, append_images=frames[1:])
    flags = (f"--input={tmp_path / 'clip [1].gif'}", f"--output={tmp_path}")
    done = program("predict.py", f"--model={workdir}", *flags)
    assert done.returncode == 0, done.stderr
    assert "parsed 3 frames" in done.stdout
    assert len(json.loads((tmp_path / "clip [1].json").read_text())["frames"]) == 3
    overlays = list(open_film(str(tmp_path / "clip [1]_overlay.mp4")))
    assert [frame.shape for frame in overlays] == [(10, 8, 3)] * 3
