"""What the two stacks share."""

import pytest

from deeperlab_tf.compat import keras


@pytest.mark.both_stacks
def test_keras_is_keras_2_on_both_stacks():
    assert keras.__version__.split(".")[0] == "2"
