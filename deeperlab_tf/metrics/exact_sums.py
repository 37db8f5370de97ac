"""Sums of floats that do not depend on their order: a metric merged over processes equals one pass,
bit by bit.
"""

from __future__ import annotations

import numpy as np

_DIGIT_BITS = 32
_DIGITS = 6  # 2^63 down to 2^-128: area * IoU / image size of images below 2^31 pixels loses no bit
_LAST_BIT = 128
_WEIGHTS = 2.0 ** (_DIGIT_BITS * np.arange(_DIGITS) - _LAST_BIT)[::-1]


class ExactSums:
    """Sums of float64 values of at least 0, many side by side.

    A value is cut into digits of 32 bits. Digits are integers, and those add up without rounding in
    any order.

    Args:
      size: number of sums.
    """

    def __init__(self, size: int) -> None:
        self._digits = np.zeros((_DIGITS, size), np.int64)

    def add(self, index: np.ndarray, values: np.ndarray) -> None:
        """Adds values.

        Args:
          index: int [N], which sum each value goes to.
          values: float64 [N], 0 <= value < 2^63.
        """
        rest = np.array(values, np.float64)
        for digits, weight in zip(self._digits, _WEIGHTS):
            # Exact, as is the remainder: the weights are powers of two.
            whole = np.floor(rest / weight)
            rest -= whole * weight
            digits += np.bincount(index, weights=whole, minlength=len(digits)).astype(np.int64)

    def merge(self, other: ExactSums) -> None:
        """Adds what another `ExactSums` has summed up."""
        self._digits += other._digits

    def values(self) -> np.ndarray:
        """The sums, float64 [size], each rounded once."""
        return np.array([_to_float(column) for column in self._digits.T], np.float64)


def _to_float(digits):
    """The value of a sum's digits, the highest first."""
    total = 0
    for digit in digits:
        # Python's integers, for this one has hundreds of bits.
        total = (total << _DIGIT_BITS) + int(digit)
    return total / (1 << _LAST_BIT)
