"""Speed and memory of a part of the system on this machine.

python scripts/benchmark.py --suite=fusion --output=fusion.json

Each suite is a module with `run()`, which returns a list of rows. The file holds `machine` and `rows`.
"""

import importlib
import os
import platform

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.files import write_json

SUITES = {
    "fusion": "deeperlab_tf.benchmarks.fusion",
    "metrics": "deeperlab_tf.benchmarks.metrics",
    "pipeline": "input_pipeline.benchmark",
}

SUITE = flags.DEFINE_enum("suite", None, sorted(SUITES), "What to measure.")
THREADS = flags.DEFINE_integer("threads", 0, "Threads TensorFlow may use; 0: one a core.", lower_bound=0)
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")


def main():
    import tensorflow as tf  # after deeperlab_tf, which quiets its banners

    tf.config.threading.set_intra_op_parallelism_threads(THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS.value)
    rows = importlib.import_module(SUITES[SUITE.value]).run()
    write_json(OUTPUT.value, {"suite": SUITE.value, "machine": machine(), "rows": rows})
    for row in rows:
        print("  ".join(f"{name} {_readable(value)}" for name, value in row.items()))
    print(f"wrote {OUTPUT.value}")


def machine():
    """What the numbers were measured on, as a dict."""
    import tensorflow as tf

    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            processor = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), processor)
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": THREADS.value or os.cpu_count(),
        "gpus": [gpu.name for gpu in tf.config.list_physical_devices("GPU")],
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
    }


def _readable(value):
    return f"{value:.3g}" if isinstance(value, float) else value


if __name__ == "__main__":
    cli.run(main, required=("suite", "output"))
