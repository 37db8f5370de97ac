"""Memory of this process: on CPUs resident, from Linux' /proc; on a GPU what TensorFlow has
allocated there.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable

import tensorflow as tf


def memory_mb(key: str) -> float:
    """Resident memory, MB; NaN where the system is not Linux.

    Args:
      key: VmRSS, memory now; or VmHWM, the most since the process began or `added_peak_mb` was
        called.
    """
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) / 1024
    return float("nan")


def added_peak_mb(call: Callable[[], object]) -> float:
    """What one call takes at most above what the process holds before it, MB.

    Of the GPU's memory if there is one, else resident; NaN without a GPU where the system is not
    Linux. Call it once per process: TensorFlow keeps what it once had.
    """
    if tf.config.list_logical_devices("GPU"):
        return _added_peak_of_gpu(call)

    # What is free, but kept, would hide what the call takes.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    before = memory_mb("VmRSS")
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # starts the high-water mark anew
    except OSError:
        before = float("nan")
    call()
    return memory_mb("VmHWM") - before


def _added_peak_of_gpu(call: Callable[[], object]) -> float:
    before = tf.config.experimental.get_memory_info("GPU:0")["current"]
    tf.config.experimental.reset_memory_stats("GPU:0")
    call()
    tf.test.experimental.sync_devices()
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return (peak - before) / 2**20
