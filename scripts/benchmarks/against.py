"""The fusion of two checkouts of this project, call by call in turns.

What a change costs, on a machine whose speed drifts by more: each checkout has a process of its
own, and the ratio is taken of calls that follow each other.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.fusion import NUM_CLASSES, NUM_THINGS, THINGS
from benchmarks.options import Options
from benchmarks.scene import scene_heads
from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.keypoints import keypoint_graph

SIZES = ((1441, 1441),)
INSTANCES = (5, 200)
FORMS = ("known", "unknown")  # sizes, when the graph is made
ROUNDS = 41
_HERE = Path(__file__).resolve().parents[2]

# What a checkout's process does: nothing of it but what its library has always had.
_SERVER = """
import json, sys, time
import numpy as np, tensorflow as tf
from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import fuse

path, height, width, things = sys.argv[1], *map(int, sys.argv[2:4]), json.loads(sys.argv[4])
fusion = default_config().fusion
with np.load(path) as file:
    heads = {name: tf.constant(file[name]) for name in file.files}
unknown = {name: tf.TensorSpec([1, None, None, head.shape[-1]]) for name, head in heads.items()}
size = tf.constant([height, width])
known = tf.function(lambda heads: fuse(heads, (height, width), things, fusion))
any_size = tf.function(
    lambda heads, size: fuse(heads, (size[0], size[1]), things, fusion),
    input_signature=[unknown, tf.TensorSpec([2], tf.int32)],
)
calls = {"known": lambda: known(heads), "unknown": lambda: any_size(heads, size)}
for line in sys.stdin:
    start, used = time.perf_counter(), time.process_time()
    tf.nest.map_structure(lambda value: value.numpy(), calls[line.strip()]())
    print(time.perf_counter() - start, time.process_time() - used, flush=True)
"""


def run(options: Options) -> list[dict]:
    """Times both checkouts.

    Args:
      options: which sizes; `against` is the folder of the other checkout.

    Returns:
      list of rows: image_size, instances, sizes (known or unknown, when the graph is made), ms and
      other_ms, medians of this checkout and the other; wall_ratio and processor_ratio, medians of
      this by the other.

    Raises:
      UserError: there is no such checkout, or its fusion cannot be called.
    """
    other = Path(options.against).expanduser().resolve()
    if not (other / "deeperlab_tf" / "fusion").is_dir():
        raise UserError(f"--against={options.against}: there is no checkout of this project.")
    rows = []
    for size in options.sizes or SIZES:
        for count in INSTANCES:
            with tempfile.TemporaryDirectory() as folder:
                path = _write_heads(Path(folder, "heads.npz"), size, count)
                rows += _compare((_HERE, other), path, size, count)
    return rows


def _write_heads(path, size, count):
    """A scene's heads as a file."""
    settings = default_config().fusion
    graph = keypoint_graph(settings.keypoint_graph)
    radius = settings.keypoint_radius
    np.savez(path, **scene_heads(size, count, NUM_CLASSES, NUM_THINGS, graph, radius))
    return path


def _compare(checkouts, path, size, count):
    """A row for each form."""
    # [rounds, this and other, wall and processor]
    seconds = {form: [] for form in FORMS}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(_served(each, path, size)) for each in checkouts]
        for number in range(ROUNDS + 2):
            for form in FORMS:
                # Whoever is first takes turns, too.
                turns = servers if number % 2 else servers[::-1]
                times = [_call(server, form) for server in turns]
                seconds[form].append(times if number % 2 else times[::-1])
    rows = []
    for form, times in seconds.items():
        # The first calls trace.
        times = np.array(times[2:])
        own, other = np.median(times[:, :, 0], axis=0) * 1000
        wall, processor = np.median(times[:, 0] / times[:, 1], axis=0)
        row = dict(image_size=list(size), instances=count, sizes=form, ms=own, other_ms=other)
        rows.append(dict(row, wall_ratio=wall, processor_ratio=processor))
    return rows


@contextlib.contextmanager
def _served(checkout: Path, path: Path, size: tuple[int, int]) -> Iterator[subprocess.Popen]:
    """A process that fuses with the code of a checkout when it is told to."""
    command = [sys.executable, "-c", _SERVER, str(path), *map(str, size), json.dumps(THINGS)]
    environment = dict(os.environ, PYTHONPATH=str(checkout), TF_CPP_MIN_LOG_LEVEL="3")
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=path.parent
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _call(server, form):
    """(wall, processor) seconds of a call."""
    with contextlib.suppress(BrokenPipeError):
        server.stdin.write(f"{form}\n")
        server.stdin.flush()
    answer = server.stdout.readline().split()
    if len(answer) != 2:
        reason = server.stderr.read().strip().splitlines()[-1:] or ["it ended"]
        raise UserError(f"the fusion of a checkout cannot be called: {reason[0]}")
    return tuple(map(float, answer))
