"""Parses from the command line and by `Predictor`: of images, folders and exports."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from deeperlab_tf import Predictor
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.saved_model import export_saved_model
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.images import read_image
from deeperlab_tf.training.checkpoints import load_run
from deeperlab_tf.visualize.drawing import write_image


@pytest.fixture(scope="session")
def predictor(workdir):
    return Predictor(workdir)


@pytest.fixture(scope="session")
def images():
    """Three photos, two of one size."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((48, 64), (48, 64), (40, 30))]


@pytest.fixture
def predict(repository):
    """Function (*flags): runs scripts/predict.py, returns the finished process."""

    def run(*flags):
        command = [sys.executable, str(repository / "scripts" / "predict.py"), *map(str, flags)]
        environment = dict(os.environ, PYTHONPATH=str(repository))
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=environment, check=False
        )

    return run


@pytest.mark.slow
def test_folder_of_images_gives_parses_of_their_sizes(predict, workdir, images, tmp_path):
    for name, image in zip(("a.png", "b.png", "sub/a.png"), images):
        write_image(str(tmp_path / "photos" / name), image)
    cv2.imwrite(str(tmp_path / "photos" / "a.jpg"), images[0])
    kinds = ("semantic", "instances", "detection", "heatmap", "offsets", "sheet")
    flags = [f"--input={tmp_path / 'photos'}", f"--output={tmp_path / 'out'}"]
    flags += [f"--pictures={kind}" for kind in kinds]
    done = predict(f"--model={workdir}", *flags)
    assert done.returncode == 0, done.stderr
    assert "parsed 4 images" in done.stdout
    for name, size in (("a", (48, 64)), ("a.png", (48, 64)), ("b", (48, 64)), ("sub/a", (40, 30))):
        files = PanopticFiles(str(tmp_path / "out" / f"{name}.json"), str(tmp_path / "out"))
        assert files.read_labels(name)[0].shape == size
        overlay = read_image(str(tmp_path / "out" / f"{name}_overlay.jpg"))
        assert max(overlay.shape) >= 400
        for kind in kinds:
            assert (tmp_path / "out" / f"{name}_{kind}.png").exists()


def test_bad_input_is_one_line_and_status_one(predict, tmp_path):
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
        done = predict(f"--model={model}", f"--input={source}", f"--output={tmp_path / 'out'}")
        assert done.returncode == 1
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and message in errors[0]
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_predictor_takes_arrays_paths_and_lists(predictor, images, tmp_path):
    write_image(str(tmp_path / "a.png"), images[0])
    single, from_path = predictor(images[0]), predictor(tmp_path / "a.png")
    together = predictor(images)
    for parsing in (single, from_path, together[0]):
        np.testing.assert_array_equal(parsing.panoptic, single.panoptic)
        np.testing.assert_array_equal(parsing.image, images[0])
    assert [parsing.semantic.shape for parsing in together] == [(48, 64), (48, 64), (40, 30)]
    assert single.overlay().shape == images[0].shape
    assert set(np.unique(single.semantic)) <= {0, 1, 2, 3}


@pytest.mark.slow
def test_what_is_not_an_image_is_named(predictor, tmp_path):
    gray, floats = np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)
    for bad in (gray, floats, np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(UserError, match="an image must be uint8"):
            predictor(bad)
    with pytest.raises(UserError, match=r"gone\.png does not exist"):
        predictor(str(tmp_path / "gone.png"))
    with pytest.raises(UserError, match="there is no folder"):
        type(predictor)(str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_predictor_gives_the_same_parse_from_an_export(
    predictor, workdir, images, tmp_path, toy_dataset, assert_same_labels
):
    export_saved_model(*load_run(workdir), str(tmp_path / "toy" / "3"))
    # The folder above the version, as TF Serving takes it.
    exported = Predictor(str(tmp_path / "toy"))
    assert exported.dataset == toy_dataset
    maps = predictor.maps(images[2])
    assert maps["heatmap"].shape == (10, 8, 5) and maps["middle_offsets"].shape == (10, 8, 8, 2)
    for name, values in exported.maps(images[2]).items():
        np.testing.assert_allclose(values, maps[name], rtol=1e-4, atol=1e-4)
    for parsing, expected in zip(exported(images[1:]), predictor(images[1:])):
        assert_same_labels(parsing.panoptic, expected.panoptic)
