"""What one may choose of the suites that measure the network and the fusion."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import tensorflow as tf


class Options(NamedTuple):
    """How to measure.

    Attributes:
      sizes: (H, W) of the images; none: those of the suite.
      precision: of the network, one of `folding.PRECISIONS`; others than float32 are for its rows.
      device: where it runs, CPU:0 or GPU:0; "": where TensorFlow puts it.
      compile: whether to measure what XLA compiles, too.
      against: folder of another checkout, whose fusion is timed instead, beside this one's.
    """

    sizes: tuple[tuple[int, int], ...] = ()
    precision: str = "float32"
    device: str = ""
    compile: bool = False
    against: str = ""

    def placed(self) -> contextlib.AbstractContextManager:
        """Within it, operations run on the device."""
        return tf.device(self.device) if self.device else contextlib.nullcontext()
