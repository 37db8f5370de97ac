import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.metrics import ParsingCovering

VOID = 255
NUM_CLASSES, THINGS = 5, (0, 2)


def slow_parsing_covering(images):
    """Eq. 3-5, one pair of masks at a time: pc of each class, exact and with areas relative to the
    image.
    """
    covered, area = np.zeros((2, NUM_CLASSES)), np.zeros((2, NUM_CLASSES))
    for gt_semantic, gt_instance, pred_semantic, pred_instance, crowd in images:
        counts = (gt_semantic != VOID) & ~crowd
        for c in range(NUM_CLASSES):
            for i in np.unique(gt_instance):
                truth = counts & (gt_semantic == c) & (gt_instance == i)
                if not truth.any():
                    continue
                best = 0.0
                for j in np.unique(pred_instance):
                    pred = counts & (pred_semantic == c) & (pred_instance == j)
                    best = max(best, np.sum(truth & pred) / np.sum(truth | pred))
                for row, size in enumerate((1, truth.size)):
                    covered[row, c] += truth.sum() / size * best
                    area[row, c] += truth.sum() / size
    with np.errstate(invalid="ignore"):
        return covered / area


@pytest.mark.both_stacks
@settings(deadline=None, max_examples=20)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=3))
def test_equals_the_definition_on_random_parses(random_parse, seeds):
    sizes = ((24, 32), (8, 8), (16, 64))
    images = [random_parse(seed, size) for seed, size in zip(seeds, sizes)]
    metric = ParsingCovering(NUM_CLASSES, THINGS)
    for image in images:
        metric.update(*image)
    exact, normalized = slow_parsing_covering(images)
    result = metric.result()
    np.testing.assert_allclose([c["pc"] for c in result["per_class"]], exact, atol=1e-12)
    np.testing.assert_allclose(
        [c["pc_normalized"] for c in result["per_class"]], normalized, atol=1e-12
    )
    assert result["pc"] == pytest.approx(np.nanmean(exact), abs=1e-12)
    assert result["pc_normalized"] == pytest.approx(np.nanmean(normalized), abs=1e-12)


@pytest.mark.both_stacks
def test_truth_against_itself_is_exactly_one(random_parse):
    metric = ParsingCovering(NUM_CLASSES, THINGS)
    for seed, size in enumerate([(24, 32), (8, 8), (12, 20)]):
        semantic, instance, _, _, crowd = random_parse(seed, size)
        instance = instance + 10 * crowd  # a crowd region is a segment of its own
        metric.update(semantic, instance, semantic, instance, crowd)
    result = metric.result()
    assert result["pc"] == result["pc_normalized"] == 1.0


def test_one_of_three_equal_trees_found_counts_a_third_as_stuff_and_as_thing():
    """The paper's example, Sec. 3.5."""
    tree, ground = 0, 1
    gt = np.array([[tree, tree, tree, ground]])
    pred = np.array([[tree, ground, ground, ground]])
    as_stuff, as_things = ParsingCovering(2, ()), ParsingCovering(2, (tree,))
    as_stuff.update(gt, np.zeros_like(gt), pred, np.zeros_like(pred))
    as_things.update(gt, np.array([[1, 2, 3, 0]]), pred, np.array([[1, 0, 0, 0]]))
    assert as_stuff.result()["per_class"][tree]["pc"] == pytest.approx(1 / 3)
    assert as_things.result()["per_class"][tree]["pc"] == pytest.approx(1 / 3)


def test_large_images_weigh_more_only_without_normalisation():
    metric = ParsingCovering(1, ())
    small, large = np.zeros((1, 2), int), np.zeros((10, 10), int)
    metric.update(small, small, small, small)
    metric.update(large, large, np.full_like(large, VOID), large)
    result = metric.result()
    assert result["pc"] == pytest.approx(2 / 102)
    assert result["pc_normalized"] == pytest.approx(0.5)


def test_void_and_crowd_pixels_leave_the_prediction_too():
    gt = np.array([[0, VOID, 0]])
    metric = ParsingCovering(1, (0,))
    metric.update(
        gt,
        np.array([[1, 0, 2]]),
        np.zeros((1, 3), int),
        np.ones((1, 3), int),
        np.array([[0, 0, 1]], bool),
    )
    assert metric.result()["pc"] == 1.0


def test_no_image_gives_nan():
    result = ParsingCovering(NUM_CLASSES, THINGS).result()
    assert np.isnan(result["pc"]) and np.isnan(result["pc_normalized"])


@settings(deadline=None, max_examples=20)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=2, max_size=6), data=st.data())
def test_merging_in_any_order_equals_one_pass_bit_by_bit(random_parse, seeds, data):
    whole, first, second = (ParsingCovering(NUM_CLASSES, THINGS) for _ in range(3))
    for seed in seeds:
        whole.update(*random_parse(seed, (8 + 4 * (seed % 5), 12)))
    for seed in data.draw(st.permutations(seeds)):
        (first if data.draw(st.booleans()) else second).update(
            *random_parse(seed, (8 + 4 * (seed % 5), 12))
        )
    np.testing.assert_equal(first.merge(second).result(), whole.result())
