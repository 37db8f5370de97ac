"""What numbers were measured on."""

from __future__ import annotations

import os
import platform
from typing import Any

import tensorflow as tf


def machine(threads: int = 0) -> dict[str, Any]:
    """Processor, cores, threads in use, GPUs and versions.

    Args:
      threads: those TensorFlow may use; 0: one per core.
    """
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads or os.cpu_count(),
        "gpus": [gpu.name for gpu in tf.config.list_physical_devices("GPU")],
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
    }


def _processor() -> str:
    # Linux' platform.processor() gives the architecture at best.
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
