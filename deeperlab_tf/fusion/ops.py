"""Operations in the form that is exact and fast on the device they run on.

TensorFlow's kernels differ: on CPUs `tf.math.top_k` beats `tf.argmax` many times over, on GPUs it
is the other way round; and GPUs with TensorFloat-32 (Ampere and newer) round what `tf.matmul`
multiplies to eleven bits, unless the whole program says otherwise. Fusion compares distances, which
such a rounding decides wrongly.
"""

import tensorflow as tf


def by_device(cpu, gpu):
    """cpu() on CPUs, gpu() on GPUs and others: decided where the graph runs, so that one export
    serves both.
    """
    index = tf.raw_ops.DeviceIndex(device_names=["CPU"])  # 1 for what is not in the list
    return tf.switch_case(index, [cpu, gpu])


def matmul(a, b):
    """tf.matmul in full float32, [..., n, K] and [..., K, m]; on GPUs it takes K times the result's
    memory.
    """
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)

    def of_products():
        return tf.reduce_sum(
            a[..., :, None, :] * tf.linalg.matrix_transpose(b)[..., None, :, :], axis=-1
        )

    return by_device(lambda: tf.matmul(a, b), of_products)


def best(values):
    """tf.argmax over the last axis: float32 [..., K] -> int32 [...]; ties go to the first."""
    return by_device(
        lambda: tf.math.top_k(values, k=1).indices[..., 0],
        lambda: tf.argmax(values, axis=-1, output_type=tf.int32),
    )


def best_of_rows(values):
    """`best` for many rows of a matrix: float32 [n, K] -> int32 [n].

    On CPUs each `tf.math.top_k` keeps one core busy, so there are several, on parts of memory that
    are aligned, so that slicing copies nothing; few rows are left.
    """

    def in_parts():
        count, width = tf.shape(values)[0], values.shape[1]
        size = count // (_PARTS * _ALIGNED_ROWS) * _ALIGNED_ROWS
        flat, ends = tf.reshape(values, [-1]), [*(part * size for part in range(_PARTS + 1)), count]
        parts = [
            tf.reshape(flat[start * width : end * width], [-1, width])
            for start, end in zip(ends, ends[1:])
        ]
        return tf.concat([tf.math.top_k(part, k=1).indices[:, 0] for part in parts], axis=0)

    return by_device(in_parts, lambda: tf.argmax(values, axis=1, output_type=tf.int32))


_PARTS = 6
# Any number of columns: 16 float32 rows end where 64 bytes do, what TensorFlow calls aligned.
_ALIGNED_ROWS = 16


def choose(flags, labels, others):
    """tf.where for int32 labels, by arithmetic: several times faster on CPUs."""
    return others + tf.cast(flags, tf.int32) * (labels - others)


def read(values, index):
    """tf.gather of rows, the faster way on CPUs: [n, ...], int32 of any shape [...] -> [..., ...]."""
    return tf.gather_nd(values, index[..., None])
