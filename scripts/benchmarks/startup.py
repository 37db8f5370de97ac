"""How long a stranger waits: from the command to the first parse, in fresh processes.

Every form of one network has its turn, and again: what is measured is a Python that imports the
predictor, loads the model, and parses a picture of 641 x 321 with its overlay, twice. `import
tensorflow` alone is measured beside them. Pictures are noise: what a parse takes depends little on
them, what a start takes not at all.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.street import pictures
from deeperlab_tf import models
from deeperlab_tf.visualize.drawing import write_image

ROUNDS = 3
WARM_IMAGES = 40  # for the rate once it runs, as `predict.py` runs
IMAGE_SIZE = (321, 641)

_TENSORFLOW = "import tensorflow"

# Prints seconds, wall and CPU, of each part.
_PROGRAM = """
import json, os, sys, time
marks = []
def mark(name):
    now = time.perf_counter(), sum(os.times()[:2])
    marks.append((name, now))
mark("start")
path, photo, folder, count = sys.argv[1:]
from deeperlab_tf.prediction.predictor import Predictor
mark("import")
predictor = Predictor(path)
mark("load")
predictor(photo).save(folder, "first")
mark("first")
predictor(photo).save(folder, "second")
mark("second")
from deeperlab_tf.prediction.many import Job, parse_files
job = Job({f"warm/{number}": photo for number in range(int(count))}, folder)
parse_files(job, lambda files, images: predictor(images), 1)
mark("warm")
parts = {}
for (_, before), (name, after) in zip(marks, marks[1:]):
    parts[name] = [b - a for a, b in zip(before, after)]
print(json.dumps(parts))
"""


def run(forms: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Starts every form several times, in turns.

    Args:
      forms: what each is called -> its path; None: a shipped model, its network as a workdir and as
        each kind of export.

    Returns:
      list of dicts, one of each form, medians: `form`, `total_s`, from the start of the process to
      the first parse and overlay on the disk; of it `python_s` (the interpreter), `import_s`,
      `load_s`, `first_s`; then `second_s` (the next image) and `images_per_s` once it runs;
      `total_cpu_s`, of all cores, which other programs on the machine disturb less.
    """
    with tempfile.TemporaryDirectory() as folder:
        forms = _make_forms(folder) if forms is None else forms
        photo = os.path.join(folder, "photo.jpg")
        write_image(photo, pictures(1, IMAGE_SIZE)[0])
        starts = {form: [] for form in forms}
        imports = []
        for _ in range(ROUNDS):
            imports.append(_timed([sys.executable, "-c", _TENSORFLOW])[1:])
            for form, path in forms.items():
                starts[form].append(_start(path, photo, folder))

    wall, cpu = (statistics.median(values) for values in zip(*imports))
    rows = [dict(form=_TENSORFLOW, total_s=wall, total_cpu_s=cpu)]
    for form, measured in starts.items():
        medians = {key: statistics.median(one[key] for one in measured) for key in measured[0]}
        rows.append(dict(form=form, **medians))
    return rows


def _start(path: str, photo: str, folder: str) -> dict[str, float]:
    """A fresh process up to its first parse, and on."""
    command = [sys.executable, "-c", _PROGRAM, path, photo, folder, str(WARM_IMAGES)]
    output, wall, _ = _timed(command)
    parts = json.loads(output.splitlines()[-1])
    inside = sum(seconds for seconds, _ in parts.values())
    to_first = ("import", "load", "first")
    python = wall - inside
    return dict(
        total_s=python + sum(parts[part][0] for part in to_first),
        total_cpu_s=sum(parts[part][1] for part in to_first),
        python_s=python,
        import_s=parts["import"][0],
        load_s=parts["load"][0],
        first_s=parts["first"][0],
        second_s=parts["second"][0],
        images_per_s=WARM_IMAGES / parts["warm"][0],
    )


def _timed(command: list[str]) -> tuple[str, float, float]:
    """(output, wall seconds, CPU seconds) of a process."""
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return done.stdout, after.elapsed - before.elapsed, cpu


def _make_forms(folder: str) -> dict[str, str]:
    """A shipped model, and the same network in every other form."""
    # Imported here: what is measured runs in other processes, some of them without TensorFlow.
    import tensorflow as tf

    from deeperlab_tf.export.onnx import export_onnx
    from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model
    from deeperlab_tf.export.tflite import export_tflite
    from deeperlab_tf.training.workdir import load_run, prepare_workdir

    name = models.names()[0]
    network, config, dataset = load_run(models.find(name))
    config.train.ema = 0.0  # the weights are the averages already
    paths = {form: os.path.join(folder, form) for form in _EXPORTED}
    prepare_workdir(paths["workdir"], config, dataset)
    prefix = os.path.join(paths["workdir"], "checkpoints", "ckpt")
    tf.train.Checkpoint(network=network).save(prefix)

    run = network, config, dataset
    export_saved_model(*run, paths["saved_model"])
    options = ExportOptions(optimise=True)
    export_saved_model(*run, paths["saved_model optimised"], options)
    export_onnx(*run, paths["onnx"])
    export_tflite(*run, paths["tflite"])
    return {f"shipped {name}": models.find(name), **paths}


_EXPORTED = ("workdir", "saved_model", "saved_model optimised", "onnx", "tflite")
