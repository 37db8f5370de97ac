"""The street model that ships: it loads by its name, fast, and parses whatever it is given."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

import deeperlab_tf
from deeperlab_tf import models
from deeperlab_tf.models.shipped import verify
from deeperlab_tf.prediction.predictor import Predictor

pytestmark = pytest.mark.both_stacks

LARGEST = 8e6  # bytes, of all its files


@pytest.fixture(scope="module")
def predictor():
    return Predictor("street")


@pytest.fixture(scope="module")
def street():
    """A drawing: sky over houses, a road into the distance, two cars on it."""
    image = np.full((321, 641, 3), (150, 180, 215), np.uint8)
    image[60:190, :230] = image[40:190, 420:] = (125, 105, 95)
    for x in range(20, 220, 50):
        image[90:130, x : x + 25] = image[90:130, x + 420 : x + 445] = (60, 65, 75)
    road = np.array([[290, 175], [350, 175], [641, 321], [0, 321]])
    cv2.fillPoly(image, [road], (95, 95, 98))
    for x, y, size in ((200, 230, 60), (360, 200, 30)):
        cv2.rectangle(image, (x, y), (x + 2 * size, y + size), (30, 30, 120), -1)
        cv2.circle(image, (x + size // 3, y + size), size // 4, (15, 15, 15), -1)
        cv2.circle(image, (x + 5 * size // 3, y + size), size // 4, (15, 15, 15), -1)
    return cv2.GaussianBlur(image, (5, 5), 0)


def test_it_ships_whole_and_small_with_its_terms():
    folder = models.find("street")
    verify(folder)
    assert "street" in deeperlab_tf.models()
    assert sum(entry.stat().st_size for entry in os.scandir(folder)) <= LARGEST
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        card = file.read()
    assert "non-commercial" in card and "Cityscapes" in card and "cannot do" in card


def test_a_drawing_is_parsed_into_several_of_its_classes(predictor, street):
    parsing = predictor(street)
    names = predictor.dataset.class_names
    assert len(names) == 19 and parsing.panoptic.shape == (321, 641)
    # What it sees in a drawing, which is no photo, is its own affair.
    classes = np.setdiff1d(parsing.semantic, [predictor.dataset.ignore_label])
    assert len(classes) > 1 and classes.max() < len(names)


@pytest.mark.parametrize("size", [(321, 641), (1, 1), (900, 40), (33, 500)])
def test_a_photo_without_any_street_gives_a_parse(predictor, size):
    rng = np.random.default_rng(0)
    for image in (np.zeros((*size, 3), np.uint8), rng.integers(0, 256, (*size, 3), np.uint8)):
        parsing = predictor(image)
        assert parsing.panoptic.shape == size
        labelled = parsing.semantic != predictor.dataset.ignore_label
        assert labelled.mean() > 0.9  # the rest is in segments too small to be true
        assert sum(segment.area for segment in parsing.segments) == labelled.sum()
        assert parsing.overlay().shape == image.shape


@pytest.mark.slow
def test_its_graph_is_what_the_code_computes_today(predictor, street, assert_same_labels):
    """Whoever changes the network, the fusion or their defaults has to ship the model anew."""
    # Imported here: it takes TensorFlow, which the tests above do without.
    from deeperlab_tf.prediction.inference import parse_images
    from deeperlab_tf.training.workdir import load_run

    network, config, dataset = load_run(models.find("street"))
    heads = network(street[None], training=False)
    for name, values in predictor._heads(street[None]).items():
        np.testing.assert_allclose(values, heads[name], rtol=1e-3, atol=2e-3)
    expected = parse_images(network, street[None], config, dataset.thing_classes)
    assert_same_labels(predictor(street).panoptic, expected["panoptic"][0])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the library may be missing")
def test_a_parse_does_not_wait_for_python_to_import_tensorflow(street, tmp_path):
    program = (
        "import sys, numpy as np\n"
        "import deeperlab_tf\n"
        f"parsing = deeperlab_tf.Predictor('street')(np.zeros({street.shape}, np.uint8))\n"
        f"parsing.save({str(tmp_path)!r}, 'nothing')\n"
        "late = {'tensorflow', 'keras', 'matplotlib', 'scipy.optimize'} & set(sys.modules)\n"
        "assert not late, late\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "nothing_overlay.jpg").exists()
