"""Forms of operations for one device equal those for another; the graph runs those of the device it
is on.
"""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.fusion import ops


@pytest.fixture
def elsewhere(monkeypatch):
    """Has this test take the forms for GPUs, wherever it runs."""
    monkeypatch.setattr(ops, "by_device", lambda cpu, gpu: gpu())


@pytest.mark.both_stacks
def test_the_device_decides_in_graphs_and_eagerly():
    with tf.device("CPU:0"):
        for call in (ops.by_device, tf.function(ops.by_device, autograph=False)):
            assert call(lambda: tf.constant(1), lambda: tf.constant(2)) == 1
    # For any device: not the CPU's form.
    compiled = tf.function(ops.by_device, autograph=False, jit_compile=True)
    assert compiled(lambda: tf.constant(1), lambda: tf.constant(2)) == 2


@pytest.mark.parametrize(
    "shapes", [((7, 3), (3, 5)), ((16, 4), (6, 4, 10)), ((6, 2, 4), (6, 4, 1)), ((0, 3), (3, 5))]
)
def test_products_of_other_devices_are_those_of_matmul(elsewhere, shapes):
    a, b = (np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in shapes)
    np.testing.assert_allclose(ops.matmul(a, b), np.matmul(a, b), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 5, 1000])
def test_the_best_are_argmax_with_ties_to_the_first(rows, monkeypatch):
    values = np.random.default_rng(1).integers(0, 4, [rows, 6]).astype(np.float32)
    for _ in range(2):
        for best in (ops.best, ops.best_of_rows):
            np.testing.assert_array_equal(
                best(tf.constant(values)), values.argmax(axis=1) if rows else []
            )
        monkeypatch.setattr(ops, "by_device", lambda cpu, gpu: gpu())


def test_other_devices_parse_the_same(elsewhere, scene, monkeypatch):
    layout = scene().add((8, 8, 30, 40)).add((20, 30, 60, 70), label=3).add((40, 5, 55, 25))
    heads = layout.heads()
    parse = layout.fuse(heads)
    monkeypatch.undo()
    np.testing.assert_array_equal(parse["panoptic"], layout.fuse(heads)["panoptic"])
