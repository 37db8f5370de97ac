"""Parses from the command line, and one sentence for each mistake."""

import cv2
import numpy as np
import pytest

from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.images import read_image
from deeperlab_tf.visualize.drawing import write_image


@pytest.fixture(scope="session")
def images():
    """Three photos, two of one size."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((48, 64), (48, 64), (40, 30))]


@pytest.mark.slow
def test_folder_of_images_gives_parses_of_their_sizes(program, workdir, images, tmp_path):
    for name, image in zip(("a.png", "b.png", "sub/a.png"), images):
        write_image(str(tmp_path / "photos" / name), image)
    cv2.imwrite(str(tmp_path / "photos" / "a.jpg"), images[0])
    kinds = ("semantic", "instances", "detection", "heatmap", "offsets", "sheet")
    flags = [f"--input={tmp_path / 'photos'}", f"--output={tmp_path / 'out'}"]
    flags += [f"--pictures={kind}" for kind in kinds]
    done = program("predict.py", f"--model={workdir}", *flags)
    assert done.returncode == 0, done.stderr
    assert "parsed 4 images" in done.stdout
    for name, size in (("a", (48, 64)), ("a.png", (48, 64)), ("b", (48, 64)), ("sub/a", (40, 30))):
        files = PanopticFiles(str(tmp_path / "out" / f"{name}.json"), str(tmp_path / "out"))
        assert files.read_labels(name)[0].shape == size
        overlay = read_image(str(tmp_path / "out" / f"{name}_overlay.jpg"))
        assert max(overlay.shape) >= 400
        for kind in kinds:
            assert (tmp_path / "out" / f"{name}_{kind}.png").exists()


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
