"""`Predictor`: what it takes and gives, from a run and from its export."""

import time

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import Predictor
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.saved_model import export_saved_model
from deeperlab_tf.prediction.predictor import MAX_BATCH, Timed, parse_all
from deeperlab_tf.training.workdir import load_run
from deeperlab_tf.visualize.drawing import write_image
from tests.toys import save_untrained


@pytest.fixture(scope="module")
def workdir(toy_dataset, tmp_path_factory):
    """Workdir of a network with random weights."""
    return save_untrained(tmp_path_factory.mktemp("run"), toy_dataset)


@pytest.fixture(scope="module")
def predictor(workdir):
    return Predictor(workdir)


@pytest.fixture(scope="module")
def images():
    """Three photos, two of one size."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((48, 64), (48, 64), (40, 30))]


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


def test_a_long_list_runs_in_batches_of_limited_size(toy_dataset):
    sizes = []

    def parse(images):
        sizes.append(images.shape[0])
        labels = np.zeros(images.shape[:3], np.int32)
        outputs = dict(semantic=labels, instance=labels, panoptic=labels)
        outputs["instance_score"] = np.zeros((len(labels), 1), np.float32)
        outputs["num_instances"] = np.zeros(len(labels), np.int32)
        return {name: tf.constant(values) for name, values in outputs.items()}

    class Counting(Predictor):
        def __init__(self):
            self.dataset, self._parse = toy_dataset, parse

    images = [np.full((2, 3, 3), number % 256, np.uint8) for number in range(1000)]
    parsings = Counting()(images)
    assert len(parsings) == sum(sizes) == 1000 and max(sizes) == MAX_BATCH
    assert all((parsing.image == image).all() for parsing, image in zip(parsings, images))


def test_one_loop_goes_through_a_dataset_and_tells_the_time():
    def parse(images):
        asked.append(len(images))
        time.sleep(0.02)
        return [int(image.sum()) for image in images]

    asked, timed = [], Timed(parse)
    source = [{"image": np.full((1, 1, 3), number)} for number in range(5)]
    found = parse_all(timed, source, 2)
    assert timed.seconds == 0 and next(found) == (0, source[0], 0)
    assert timed.seconds >= 0.02 and asked == [2]  # nothing is read before it is asked for
    assert [(index, parsing) for index, _, parsing in found] == [(1, 3), (2, 6), (3, 9), (4, 12)]
    assert asked == [2, 2, 1] and timed.seconds >= 0.06
