"""Operations in the form that is exact and fast on the device they run on.

TensorFlow's kernels differ: on CPUs `tf.math.top_k` beats `tf.argmax` many times over, on GPUs it
is the other way round; and GPUs with TensorFloat-32 (Ampere and newer) round what `tf.matmul`
multiplies to eleven bits, unless the whole program says otherwise. Fusion compares distances, which
such a rounding decides wrongly.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import Callable, TypeVar

import tensorflow as tf
from tensorflow import Tensor

Result = TypeVar("Result")

# Whether the graph being made is for XLA; None: for either, that is, twice.
_FOR_XLA = contextvars.ContextVar("for_xla", default=None)


def is_compiled() -> bool:
    """Whether the graph being made is for XLA, see `lists`."""
    return _FOR_XLA.get() is True


@contextlib.contextmanager
def one_form(compiled: bool) -> Iterator[None]:
    """Within it, graphs are made in one form only, for XLA or plain: half the work.

    Example:
      with one_form(compiled=True):
          parse = fuse(heads, (721, 721), dataset.thing_classes, config.fusion)
    """
    token = _FOR_XLA.set(compiled)
    try:
        yield
    finally:
        _FOR_XLA.reset(token)


def in_both_forms(make: Callable[[], Result]) -> Result:
    """make() in a graph that holds both forms, of which XLA compiles its own.

    Args:
      make: function without arguments, of inputs of known shapes; gives a nest of tensors.
    """
    if tf.executing_eagerly() or _FOR_XLA.get() is not None:
        return make()

    def plain():
        with one_form(compiled=False):
            return make()

    # A function of its own: a plain graph passes it by as one operation.
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def compiled():
        with one_form(compiled=True):
            return make()

    # Within XLA the index is one past the listed devices: 2.
    index = tf.raw_ops.DeviceIndex(device_names=["CPU", "GPU"])
    return tf.switch_case(index // 2, [plain, compiled])


def by_device(cpu: Callable[[], Tensor], gpu: Callable[[], Tensor]) -> Tensor:
    """cpu() on CPUs, gpu() on GPUs and others.

    Decided where the graph runs, so that one export serves both.
    """
    if is_compiled():
        return gpu()
    # 1 for what is not in the list.
    index = tf.raw_ops.DeviceIndex(device_names=["CPU"])
    return tf.switch_case(index, [cpu, gpu])


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """tf.matmul in full float32: [..., n, K] and [..., K, m] -> [..., n, m].

    On GPUs it takes K times the result's memory.
    """
    a = tf.convert_to_tensor(a)
    b = tf.convert_to_tensor(b)
    if is_compiled():
        # XLA makes one loop of it, and of what follows.
        products = [a[..., k, None] * b[..., k, None, :] for k in range(a.shape[-1])]
        return functools.reduce(tf.add, products)

    def of_products():
        columns = tf.linalg.matrix_transpose(b)
        products = a[..., :, None, :] * columns[..., None, :, :]
        return tf.reduce_sum(products, axis=-1)

    return by_device(lambda: tf.matmul(a, b), of_products)


def best(values: Tensor) -> Tensor:
    """tf.argmax over the last axis: float32 [..., K] -> int32 [...]; ties go to the first."""

    def by_top_k():
        highest = tf.math.top_k(values, k=1)
        return highest.indices[..., 0]

    def by_argmax():
        return tf.argmax(values, axis=-1, output_type=tf.int32)

    return by_device(by_top_k, by_argmax)


def best_of_rows(values: Tensor) -> Tensor:
    """`best` for many rows of a matrix: float32 [n, K] -> int32 [n].

    On CPUs each `tf.math.top_k` keeps one core busy, so there are several, on parts of memory that
    are aligned, so that slicing copies nothing; few rows are left.
    """

    def in_parts():
        width = values.shape[1]
        count = tf.shape(values)[0]
        size = count // (_PARTS * _ALIGNED_ROWS)
        size *= _ALIGNED_ROWS
        starts = [part * size for part in range(_PARTS + 1)]
        ends = [*starts[1:], count]

        flat = tf.reshape(values, [-1])
        parts = []
        for start, end in zip(starts, ends):
            part = flat[start * width : end * width]
            part = tf.reshape(part, [-1, width])
            highest = tf.math.top_k(part, k=1)
            parts.append(highest.indices[:, 0])
        return tf.concat(parts, axis=0)

    def by_argmax():
        return tf.argmax(values, axis=1, output_type=tf.int32)

    return by_device(in_parts, by_argmax)


_PARTS = 6
# Any number of columns: 16 float32 rows end where 64 bytes do, what TensorFlow calls aligned.
_ALIGNED_ROWS = 16


def choose(flags: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """tf.where for int32 labels, by arithmetic: several times faster on CPUs."""
    ones = tf.cast(flags, tf.int32)
    return others + ones * (labels - others)


def read(values: Tensor, index: Tensor) -> Tensor:
    """tf.gather of rows, the faster way on CPUs: [n, ...], int32 [...] -> [..., ...]."""
    return tf.gather_nd(values, index[..., None])


def flags_at(index: Tensor, size: Tensor) -> Tensor:
    """Flags that are set at some places: int32 [n], repeats allowed -> bool [size]."""
    unset = tf.zeros([size], tf.bool)
    updates = tf.ones_like(index, tf.bool)
    return tf.tensor_scatter_nd_update(unset, index[:, None], updates)
