"""Speed and memory of a part of the system on this machine.

python scripts/benchmark.py --suite=fusion --output=fusion.json
python scripts/benchmark.py --suite=fusion --against=../before --output=change.json
python scripts/benchmark.py --suite=network --image_size=721,721 --precision=float16 --compile \\
    --device=GPU:0 --output=network.json

The file holds `machine` and `rows`, which are printed too. What a suite measures and what its
columns mean is at the top of its module in scripts/benchmarks/.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
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
SIZES = flags.DEFINE_multi_string(
    "image_size", [], "HEIGHT,WIDTH of images, of the fusion and the network; default: several."
)
PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "float16", "bfloat16"], "Precision of the network."
)
DEVICE = flags.DEFINE_string("device", "", "Where fusion and network run: CPU:0 or GPU:0.")
COMPILE = flags.DEFINE_bool(
    "compile", False, "Measure fusion and network as XLA compiles them, too."
)
AGAINST = flags.DEFINE_string(
    "against", "", "Another checkout of this project, whose fusion takes turns with this one's."
)
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")

_CHOOSY = ("fusion", "network")  # modules whose `run` takes the options


def main() -> None:
    check_report(OUTPUT.value, {"machine", "rows"})
    sizes = tuple(map(_size, SIZES.value))
    chosen = sizes or PRECISION.present or DEVICE.value or COMPILE.value
    if chosen and SUITE.value not in _CHOOSY:
        raise UserError(
            f"--suite={SUITE.value} takes no --image_size, --precision, --device or --compile."
        )
    if AGAINST.value and SUITE.value != "fusion":
        raise UserError(f"--suite={SUITE.value} takes no --against; --suite=fusion does.")
    _set_environment(THREADS.value)
    # TensorFlow reads the environment when it loads.
    from benchmarks.machine import machine
    from benchmarks.options import Options

    options = Options(sizes, PRECISION.value, DEVICE.value, COMPILE.value, AGAINST.value)
    rows = []
    for name in SUITES[SUITE.value]:
        run = importlib.import_module(f"benchmarks.{name}").run
        # With options, one wants to know about the network, not about its exports.
        if name in _CHOOSY:
            rows += run(options)
        elif not chosen:
            rows += run()

    result = {"suite": SUITE.value, "machine": machine(THREADS.value), "rows": rows}
    write_json(OUTPUT.value, result)
    for row in rows:
        print("  ".join(f"{name} {_readable(value)}" for name, value in row.items()))
    print(f"wrote {OUTPUT.value}")


def _size(text: str) -> tuple[int, int]:
    """(H, W) of "H,W"."""
    sides = text.split(",")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) % 16 == 1 for side in sides):
        raise UserError(f"--image_size={text}: give HEIGHT,WIDTH, both 16k + 1, such as 721,721.")
    height, width = map(int, sides)
    return height, width


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
