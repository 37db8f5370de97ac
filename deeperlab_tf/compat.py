"""The only file that knows which TensorFlow / Keras stack is installed.

Reference stack (Python 3.9-3.11): TensorFlow 2.15 with its own Keras 2.
Current stack (Python 3.12 and newer): TensorFlow >= 2.18 with Keras 2 from the `tf_keras` package.
Keras 2 on both, because that is what `tf.distribute` is known to work with.

Exports `keras`.
"""

import tensorflow as tf

if tuple(int(part) for part in tf.__version__.split(".")[:2]) >= (2, 16):
    import tf_keras as keras
else:
    keras = tf.keras

__all__ = ["keras"]
