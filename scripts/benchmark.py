"""Speed and memory of a part of the system on this machine.

python scripts/benchmark.py --suite=fusion --output=fusion.json

The file holds `machine` and `rows`, which are printed too. What a suite measures and what its
columns mean is at the top of its module in scripts/benchmarks/.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.reports import check_report

# Names of suites: modules whose `run()` returns rows.
SUITES = {
    "fusion": ("fusion",),
    "loss": ("loss",),
    "metrics": ("metrics",),
    "network": ("network", "exported"),
    "pipeline": ("pipeline",),
    "startup": ("startup",),
    "workers": ("workers",),
}

SUITE = flags.DEFINE_enum("suite", None, sorted(SUITES), "What to measure.")
THREADS = flags.DEFINE_integer(
    "threads", 0, "Threads TensorFlow may use; 0: one per core.", lower_bound=0
)
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")


def main() -> None:
    check_report(OUTPUT.value, {"machine", "rows"})
    _set_environment(THREADS.value)
    # TensorFlow reads the environment when it loads.
    from benchmarks.machine import machine

    rows = []
    for name in SUITES[SUITE.value]:
        rows += importlib.import_module(f"benchmarks.{name}").run()

    result = {"suite": SUITE.value, "machine": machine(THREADS.value), "rows": rows}
    write_json(OUTPUT.value, result)
    for row in rows:
        print("  ".join(f"{name} {_readable(value)}" for name, value in row.items()))
    print(f"wrote {OUTPUT.value}")


def _set_environment(threads: int) -> None:
    """For TensorFlow, here and in the processes of a suite, which share a GPU."""
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if threads:
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
        os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)


def _readable(value: Any) -> Any:
    return f"{value:.3g}" if isinstance(value, float) else value


if __name__ == "__main__":
    cli.run(main, required=("suite", "output"))
