import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.errors import UserError
from deeperlab_tf.metrics import PanopticQuality

VOID = 255
NUM_CLASSES, THINGS = 5, (0, 2)


def _segments(semantic, instance, crowd):
    keys = {
        (int(c), int(i), bool(g))
        for c, i, g in zip(semantic.flat, instance.flat, crowd.flat)
        if c != VOID
    }
    return {key: (semantic == key[0]) & (instance == key[1]) & (crowd == key[2]) for key in keys}


def slow_panoptic_quality(images, num_classes=NUM_CLASSES):
    """The definition, one pair of masks at a time: iou_sum, tp, fp, fn of each class."""
    iou_sum, tp, fp, fn = np.zeros(num_classes), *np.zeros((3, num_classes), int)
    for gt_semantic, gt_instance, pred_semantic, pred_instance, crowd in images:
        truths = _segments(gt_semantic, gt_instance, crowd)
        predictions = _segments(pred_semantic, pred_instance, np.zeros_like(crowd))
        void = gt_semantic == VOID
        matched_truths, matched_predictions = set(), set()
        for truth, truth_mask in truths.items():
            for prediction, mask in predictions.items():
                if truth[2] or truth[0] != prediction[0]:
                    continue
                union = np.sum((truth_mask | mask) & ~(mask & void))
                iou = np.sum(truth_mask & mask) / union
                if iou > 0.5:
                    iou_sum[truth[0]] += iou
                    tp[truth[0]] += 1
                    matched_truths.add(truth)
                    matched_predictions.add(prediction)
        for truth in truths:
            fn[truth[0]] += truth not in matched_truths and not truth[2]
        for prediction, mask in predictions.items():
            forgiven = void | (crowd & (gt_semantic == prediction[0]))
            excused = np.sum(mask & forgiven) / np.sum(mask) > 0.5
            fp[prediction[0]] += prediction not in matched_predictions and not excused
    return iou_sum, tp, fp, fn


def assert_equals_slow(metric, images):
    iou_sum, tp, fp, fn = slow_panoptic_quality(images, metric.num_classes)
    result = metric.result()
    pq = []
    for index, values in enumerate(result["per_class"]):
        assert (values["tp"], values["fp"], values["fn"]) == (tp[index], fp[index], fn[index])
        assert values["iou_sum"] == pytest.approx(iou_sum[index], abs=1e-12)
        if tp[index] + fp[index] + fn[index]:
            pq.append(iou_sum[index] / (tp[index] + fp[index] / 2 + fn[index] / 2))
            assert values["pq"] == pytest.approx(pq[-1], abs=1e-12)
        else:
            assert np.isnan(values["pq"])
    assert result["num_classes"] == len(pq)
    assert result["pq"] == pytest.approx(np.mean(pq), abs=1e-12) if pq else np.isnan(result["pq"])


@pytest.mark.both_stacks
@settings(deadline=None, max_examples=30)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=3))
def test_equals_the_definition_on_random_parses(random_parse, seeds):
    images = [random_parse(seed) for seed in seeds]
    metric = PanopticQuality(NUM_CLASSES, THINGS)
    for image in images:
        metric.update(*image)
    assert_equals_slow(metric, images)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_equals_the_definition_on_pixel_noise(seed):
    rng = np.random.default_rng(seed)
    semantic = rng.choice([0, 1, 2, VOID], (2, 3, 4))
    instance = rng.choice([0, 1, 2**30], (2, 3, 4))
    image = (semantic[0], instance[0], semantic[1], instance[1], rng.random((3, 4)) < 0.2)
    metric = PanopticQuality(NUM_CLASSES, THINGS)
    metric.update(*image)
    assert_equals_slow(metric, [image])


@pytest.mark.both_stacks
def test_truth_against_itself_is_exactly_one(random_parse):
    metric = PanopticQuality(NUM_CLASSES, THINGS)
    for seed in range(5):
        semantic, instance, _, _, crowd = random_parse(seed)
        instance = instance + 10 * crowd  # a crowd region is a segment of its own
        metric.update(semantic, instance, semantic, instance, crowd)
    result = metric.result()
    assert (
        result["pq"]
        == result["sq"]
        == result["rq"]
        == result["pq_things"]
        == result["pq_stuff"]
        == 1.0
    )


@settings(deadline=None, max_examples=20)
@given(
    seeds=st.lists(st.integers(0, 10**6), min_size=2, max_size=6),
    cut=st.integers(0, 6),
    data=st.data(),
)
def test_merging_in_any_order_equals_one_pass_bit_by_bit(random_parse, seeds, cut, data):
    whole, first, second = (PanopticQuality(NUM_CLASSES, THINGS) for _ in range(3))
    for seed in seeds:
        whole.update(*random_parse(seed))
    for position, seed in enumerate(data.draw(st.permutations(seeds))):
        (first if position < cut else second).update(*random_parse(seed))
    np.testing.assert_equal(first.merge(second).result(), whole.result())


def _maps(gt, pred):
    gt, pred = np.atleast_2d(gt), np.atleast_2d(pred)
    return gt, np.zeros_like(gt), pred, np.zeros_like(pred)


def test_iou_of_exactly_half_is_no_match():
    metric = PanopticQuality(2, ())
    metric.update(*_maps([0, 1], [0, 0]))
    assert [(c["tp"], c["fp"], c["fn"]) for c in metric.result()["per_class"]] == [
        (0, 1, 1),
        (0, 0, 1),
    ]


def test_prediction_on_void_does_not_lower_the_iou():
    metric = PanopticQuality(1, ())
    metric.update(*_maps([0, VOID, VOID, VOID], [0, 0, 0, 0]))
    assert metric.result()["per_class"][0]["iou_sum"] == 1.0


@pytest.mark.parametrize(
    ("pred", "false_positives"), [([0, 1, 1, 0], 1), ([0, 0, 1, 1], 0)]
)  # half is not more than half
def test_prediction_mostly_on_void_is_no_false_positive(pred, false_positives):
    metric = PanopticQuality(2, (1,))
    metric.update(*_maps([0, 0, VOID, VOID], pred))
    assert metric.result()["per_class"][1]["fp"] == false_positives


@pytest.mark.parametrize(("crowd_class", "false_positives"), [(1, 0), (2, 1)])
def test_only_crowd_of_the_own_class_excuses_a_prediction(crowd_class, false_positives):
    metric = PanopticQuality(3, (1, 2))
    maps = _maps([0, crowd_class, crowd_class], [0, 1, 1])
    metric.update(*maps, gt_crowd=np.array([[False, True, True]]))
    per_class = metric.result()["per_class"]
    assert per_class[1]["fp"] == false_positives
    assert per_class[crowd_class]["fn"] == 0


def test_void_and_crowd_of_the_own_class_excuse_together():
    metric = PanopticQuality(2, (1,))
    maps = _maps([0, 0, 1, VOID, VOID], [1, 0, 1, 1, 1])
    # A quarter crowd, half void.
    metric.update(*maps, gt_crowd=np.array([[False, False, True, False, False]]))
    assert [(c["tp"], c["fp"], c["fn"]) for c in metric.result()["per_class"]] == [
        (0, 1, 1),
        (0, 0, 0),
    ]


def test_crowd_stays_in_the_union_of_a_match():
    metric = PanopticQuality(1, (0,))
    crowd = np.array([[False, False, False, True]])
    metric.update(
        np.zeros((1, 4), int), crowd * 9, np.zeros((1, 4), int), np.zeros((1, 4), int), crowd
    )
    assert metric.result()["per_class"][0]["iou_sum"] == 0.75


def test_unlabelled_prediction_misses_but_is_no_false_positive():
    metric = PanopticQuality(1, ())
    metric.update(*_maps([0, 0], [VOID, VOID]))
    assert [(c["tp"], c["fp"], c["fn"]) for c in metric.result()["per_class"]] == [(0, 0, 1)]


def test_things_and_stuff_are_averaged_apart_and_absent_classes_are_nan():
    metric = PanopticQuality(3, (1,))
    metric.update(*_maps([0, 0], [0, 0]))
    result = metric.result()
    assert (result["pq_stuff"], result["num_classes_stuff"], result["num_classes_things"]) == (
        1.0,
        1,
        0,
    )
    assert np.isnan(result["pq_things"])
    assert np.isnan(result["per_class"][2]["sq"])


def test_no_image_gives_nan_not_an_error():
    result = PanopticQuality(2, (1,)).result()
    assert np.isnan(result["pq"]) and result["num_classes"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps: maps.update(pred_semantic=np.zeros((3, 3), int)), "pred_semantic is 3 x 3"),
        (lambda maps: maps.update(gt_semantic=np.full((2, 2), 7)), "gt_semantic holds class 7"),
        (
            lambda maps: maps.update(pred_instance=np.full((2, 2), -1)),
            "pred_instance holds the negative id -1",
        ),
        (
            lambda maps: maps.update(gt_instance=np.zeros((2, 2))),
            "gt_instance must be an integer map",
        ),
        (lambda maps: maps.update(gt_crowd=np.ones((4, 2), bool)), "gt_crowd is 4 x 2"),
        (
            lambda maps: maps.update(pred_instance=np.full((2, 2), 2**63, np.uint64)),
            "ids must be below 2.63",
        ),
        (lambda maps: maps.update({name: np.zeros((0, 5), int) for name in maps}), "no pixels"),
    ],
)
def test_bad_maps_are_named(change, message):
    names = ("gt_semantic", "gt_instance", "pred_semantic", "pred_instance")
    maps = {name: np.zeros((2, 2), int) for name in names}
    change(maps)
    with pytest.raises(UserError, match=message):
        PanopticQuality(2, (1,)).update(**maps)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_wide_id_types_and_many_segments_do_not_overflow(dtype):
    instance = np.arange(3000, dtype=dtype).reshape(50, 60) * dtype(2**51)
    semantic = np.zeros((50, 60), np.uint8)
    metric = PanopticQuality(1, (0,))
    metric.update(semantic, instance, semantic, instance[::-1])
    result = metric.result()
    assert (result["per_class"][0]["tp"], result["per_class"][0]["fp"]) == (3000, 0)
