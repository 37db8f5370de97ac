"""What the two stacks share."""

import pytest

from deeperlab_tf.compat import keras


@pytest.mark.both_stacks
def test_keras_is_keras_2_on_both_stacks():
    """Keras 3 has no `engine`; `tf_keras` keeps the modules of Keras 2."""
    assert "keras.src.engine" in keras.Model.__module__
