import numpy as np
import pytest
from pycocotools import mask

from deeperlab_tf.errors import UserError
from deeperlab_tf.metrics import InstanceAP
from deeperlab_tf.metrics.instance_ap import regions

NUM_CLASSES, THINGS = 4, (2, 3)


def scene(*boxes, size=(40, 60)):
    """Maps with instance n of class c in each (class, y1, x1, y2, x2)."""
    semantic, instance = np.zeros((2, *size), np.int32)
    for number, (label, y1, x1, y2, x2) in enumerate(boxes, start=1):
        semantic[y1:y2, x1:x2], instance[y1:y2, x1:x2] = label, number
    return semantic, instance


@pytest.mark.both_stacks
def test_regions_are_the_masks_pycocotools_would_encode(random_parse):
    semantic, instance, _, _, crowd = random_parse(1, size=(48, 64))
    found = regions(lambda key: key[0] in (0, 2), semantic, instance, crowd)
    assert found
    for (label, number, is_crowd), rle in found:
        expected = (semantic == label) & (instance == number) & (crowd == is_crowd)
        np.testing.assert_array_equal(mask.decode(rle).astype(bool), expected)
        assert rle == mask.encode(np.asfortranarray(expected, np.uint8))
    assert len(found) == len({key for key, _ in found})


@pytest.mark.both_stacks
def test_truth_against_itself_is_one():
    metric = InstanceAP(NUM_CLASSES, THINGS)
    maps = scene((2, 0, 0, 10, 10), (2, 20, 20, 30, 40), (3, 5, 30, 12, 50))
    metric.update(*maps, *maps, scores=[0.9, 0.8, 0.3])
    result = metric.result()
    assert result["ap"] == pytest.approx(1) and result["ap50"] == pytest.approx(1)
    assert np.isnan(result["per_class"][0]["ap"])


def test_precision_over_recall_is_interpolated_as_coco_does():
    metric = InstanceAP(NUM_CLASSES, THINGS)
    truth = scene((2, 0, 0, 10, 10), (2, 20, 0, 30, 10))
    # By score: a hit, a false alarm, a hit. Precision 1 up to recall 0.5 (51 of 101 points), then
    # 2/3 (50 points).
    found = scene((2, 0, 0, 10, 10), (2, 0, 40, 10, 50), (2, 20, 0, 30, 10))
    metric.update(*truth, *found, scores=[0.9, 0.8, 0.7])
    assert metric.result()["ap50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_iou_decides_at_which_thresholds_an_instance_counts():
    metric = InstanceAP(NUM_CLASSES, THINGS)
    # IoU 0.8: 6 or 7 of 10 thresholds.
    metric.update(*scene((2, 0, 0, 10, 10)), *scene((2, 0, 0, 10, 8)), scores=[0.5])
    result = metric.result()
    assert result["ap50"] == pytest.approx(1) and result["ap"] == pytest.approx(0.65, abs=0.06)


def test_crowd_absorbs_detections_and_is_not_missed():
    metric = InstanceAP(NUM_CLASSES, THINGS)
    truth = scene((2, 0, 0, 10, 10), (2, 20, 0, 40, 60))
    found = scene((2, 20, 0, 30, 10), (2, 0, 0, 10, 10))
    metric.update(*truth, *found, truth[1] == 2, scores=[0.9, 0.8])
    assert metric.result()["ap50"] == pytest.approx(1)


def test_regions_without_instance_number_and_stuff_do_not_count():
    metric = InstanceAP(NUM_CLASSES, THINGS)
    truth = scene((2, 0, 0, 10, 10))
    semantic, instance = scene((2, 0, 0, 10, 10))
    semantic[20:30, 20:30] = 3
    metric.update(*truth, semantic, instance, scores=[0.9])
    assert metric.result()["ap"] == pytest.approx(1)


def test_nothing_found_is_zero_and_nothing_to_find_is_nan():
    empty, maps = scene(), scene((2, 0, 0, 10, 10))
    missed = InstanceAP(NUM_CLASSES, THINGS)
    missed.update(*maps, *empty, scores=[])
    assert missed.result()["ap"] == 0
    nothing = InstanceAP(NUM_CLASSES, THINGS)
    nothing.update(*empty, *empty, scores=[])
    assert np.isnan(nothing.result()["ap"])
    assert nothing.merge(missed).result()["ap"] == 0


def test_an_instance_without_a_score_is_named():
    maps = scene((2, 0, 0, 10, 10))
    with pytest.raises(UserError, match="predicted instance 1 has no score"):
        InstanceAP(NUM_CLASSES, THINGS).update(*maps, *maps, scores=[])
