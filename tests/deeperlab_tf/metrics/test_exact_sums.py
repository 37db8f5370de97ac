import fractions

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.metrics.exact_sums import ExactSums

VALUES = st.lists(
    st.tuples(st.integers(0, 2), st.floats(2.0**-70, 2.0**62) | st.just(0.0)), max_size=30
)


@pytest.mark.both_stacks
@settings(deadline=None)
@given(entries=VALUES, cut=st.integers(0, 30))
def test_sums_are_the_exact_ones_rounded_once(entries, cut):
    sums, rest = ExactSums(3), ExactSums(3)
    for part, chosen in ((sums, entries[:cut]), (rest, entries[cut:])):
        part.add(
            np.array([index for index, _ in chosen], int), np.array([value for _, value in chosen])
        )
    sums.merge(rest)
    for index, value in enumerate(sums.values()):
        assert value == float(
            sum((fractions.Fraction(v) for i, v in entries if i == index), fractions.Fraction(0))
        )
