import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.metrics import MeanIoU

VOID = 255
NUM_CLASSES, THINGS = 5, (0, 2)


@pytest.mark.both_stacks
@settings(deadline=None, max_examples=20)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=3))
def test_equals_the_definition_on_random_parses(random_parse, seeds):
    images = [random_parse(seed) for seed in seeds]
    metric = MeanIoU(NUM_CLASSES, THINGS)
    for image in images:
        metric.update(*image)
    gt = np.concatenate([image[0].ravel() for image in images])
    pred = np.concatenate([image[2].ravel() for image in images])[gt != VOID]
    gt = gt[gt != VOID]
    expected = [
        np.sum((gt == c) & (pred == c)) / np.sum((gt == c) | (pred == c))
        for c in range(NUM_CLASSES)
    ]
    result = metric.result()
    np.testing.assert_allclose([c["iou"] for c in result["per_class"]], expected, atol=1e-12)
    assert result["miou"] == pytest.approx(np.mean(expected), abs=1e-12)


def test_confusion_counts_every_labelled_pixel_once(random_parse):
    image = random_parse(3)
    metric = MeanIoU(NUM_CLASSES, THINGS)
    metric.update(*image)
    expected = np.zeros((NUM_CLASSES, NUM_CLASSES + 1), int)
    for gt, pred in zip(image[0].flat, image[2].flat):
        if gt != VOID:
            expected[gt, NUM_CLASSES if pred == VOID else pred] += 1
    np.testing.assert_array_equal(metric.confusion, expected)


def test_absent_classes_do_not_count_and_no_image_gives_nan():
    metric = MeanIoU(3, ())
    assert np.isnan(metric.result()["miou"])
    zeros = np.zeros((2, 2), int)
    metric.update(zeros, zeros, zeros, zeros)
    result = metric.merge(MeanIoU(3, ())).result()
    assert result["miou"] == 1.0
    assert np.isnan(result["per_class"][2]["iou"])
