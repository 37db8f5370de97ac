"""Memory of this process: on CPUs resident, from Linux' /proc; on a GPU what TensorFlow has
allocated there.
"""

import contextlib
import ctypes

import tensorflow as tf


def memory_mb(key):
    """MB: now (VmRSS) or at most since the process began or `added_peak_mb` was called (VmHWM); NaN
    where not Linux.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(f"{key}:"))
    except (OSError, StopIteration):
        return float("nan")


def added_peak_mb(call):
    """What one call takes at most above what the process holds before it, MB: of the GPU's memory
    if there is one.

    Call it once a process: TensorFlow keeps what it once had. NaN without a GPU where not Linux.
    """
    if tf.config.list_logical_devices("GPU"):
        before = tf.config.experimental.get_memory_info("GPU:0")["current"]
        tf.config.experimental.reset_memory_stats("GPU:0")
        call()
        tf.test.experimental.sync_devices()
        return (tf.config.experimental.get_memory_info("GPU:0")["peak"] - before) / 2**20
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what is free, but kept, would hide what the call takes
    before = memory_mb("VmRSS")
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # starts the high-water mark anew
    except OSError:
        before = float("nan")
    call()
    return memory_mb("VmHWM") - before
