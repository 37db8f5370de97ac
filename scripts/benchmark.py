"""Speed and memory of a part of the system on this machine.

python scripts/benchmark.py --suite=fusion --output=fusion.json

Each suite is a module, or several, with `run()`, which returns a list of rows. The file holds
`machine` and `rows`.
"""

import importlib
import os

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.files.atomic import write_json

SUITES = {
    "fusion": "benchmarks.fusion",
    "loss": "benchmarks.loss",
    "metrics": "benchmarks.metrics",
    "network": "benchmarks.network benchmarks.exported",
    "pipeline": "benchmarks.pipeline",
    "workers": "benchmarks.workers",
}

SUITE = flags.DEFINE_enum("suite", None, sorted(SUITES), "What to measure.")
THREADS = flags.DEFINE_integer(
    "threads", 0, "Threads TensorFlow may use; 0: one a core.", lower_bound=0
)
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")


def main():
    # Before TensorFlow starts, here and in the processes of a suite, which share a GPU.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if THREADS.value:
        os.environ.update(
            TF_NUM_INTRAOP_THREADS=str(THREADS.value), TF_NUM_INTEROP_THREADS=str(THREADS.value)
        )
    from benchmarks.machine import machine

    rows = [
        row
        for module in SUITES[SUITE.value].split()
        for row in importlib.import_module(module).run()
    ]
    write_json(
        OUTPUT.value, {"suite": SUITE.value, "machine": machine(THREADS.value), "rows": rows}
    )
    for row in rows:
        print("  ".join(f"{name} {_readable(value)}" for name, value in row.items()))
    print(f"wrote {OUTPUT.value}")


def _readable(value):
    return f"{value:.3g}" if isinstance(value, float) else value


if __name__ == "__main__":
    cli.run(main, required=("suite", "output"))
