"""An export whose parse is compiled takes the sizes it was compiled for, and says so otherwise."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.export.serving_files import warmup_requests
from deeperlab_tf.prediction.inference import parse_images
from deeperlab_tf.prediction.predictor import Predictor
from tests.deeperlab_tf.export.conftest import BATCH_SIZES as BATCHES
from tests.deeperlab_tf.export.conftest import COMPILED_SIZE as SIZE


@pytest.fixture(scope="module")
def compiled(compiled_export):
    return str(compiled_export)


@pytest.fixture(scope="module")
def signatures(compiled):
    return tf.saved_model.load(compiled).signatures


@pytest.mark.slow
def test_its_parses_are_the_evaluations(run, signatures, pictures, assert_same_labels):
    network, config, dataset = run
    images = np.stack(pictures(SIZE, SIZE))
    expected = parse_images(network, tf.constant(images), config, dataset.thing_classes)
    found = signatures["serving_default"](images=tf.constant(images))
    assert set(found) == set(expected)
    for name in ("semantic", "instance"):
        assert_same_labels(found[name], expected[name])
    files = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
    encoded = signatures["image_bytes"](image_bytes=tf.constant(files))
    np.testing.assert_array_equal(encoded["semantic"], found["semantic"])


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 50, 60, 3), (3, 50, 61, 3)])
def test_other_sizes_are_refused_with_those_there_are(compiled, signatures, shape):
    images = np.zeros(shape, np.uint8)
    known = "compiled for 1 or 2 images of 50 x 61 pixels at a time"
    with pytest.raises(tf.errors.InvalidArgumentError, match=known):
        signatures["serving_default"](images=tf.constant(images))


@pytest.mark.slow
def test_each_batch_size_is_warmed_up_with_images_of_its_size(compiled):
    pytest.importorskip("tensorflow_serving.apis")
    shapes = [
        inputs["images"].shape for name, inputs in warmup_requests(compiled) if "images" in inputs
    ]
    assert shapes == [(batch, *SIZE, 3) for batch in BATCHES]


@pytest.mark.slow
def test_a_predictor_takes_it(compiled, pictures):
    (image,) = pictures(SIZE)
    predictor = Predictor(compiled)
    assert predictor(image).panoptic.shape == SIZE
    with pytest.raises(UserError, match=r"compiled for 1 or 2 images of 50 x 61 pixels.*send such"):
        predictor(image[:40])
