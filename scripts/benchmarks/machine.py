"""What numbers were measured on."""

import os
import platform

import tensorflow as tf


def machine(threads=0):
    """Processor, cores, threads in use, GPUs and versions, as a dict; `threads` 0: one a core."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            processor = next(
                (line.split(":")[1].strip() for line in file if line.startswith("model name")),
                processor,
            )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": threads or os.cpu_count(),
        "gpus": [gpu.name for gpu in tf.config.list_physical_devices("GPU")],
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
    }
