"""Programs, run as a user runs them, in forks of a process that has imported TensorFlow before.

Importing it takes seconds, and tests start programs by the dozen.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

_IMPORTED_BEFORE = (
    "deeperlab_tf.cli",  # first, for it quiets TensorFlow
    "deeperlab_tf.prediction.forms",
    "deeperlab_tf.training.loop",
    "input_pipeline",
)
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(list(_IMPORTED_BEFORE))


def start_server() -> None:
    """Starts the process that forks: before a job's workers ask for it, with fewer imports."""
    forkserver.ensure_running()


def run_program(
    *arguments: str | os.PathLike,
    cwd: str | os.PathLike = REPOSITORY,
    environment: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> subprocess.CompletedProcess:
    """What `subprocess.run([sys.executable, *arguments])` gives, with what the program printed.

    Args:
      *arguments: path of a program, a name as in `scripts/`, or "-c" and its text; then its flags.
      cwd: folder that it runs in.
      environment: variables that it sees besides those of this process.
      timeout: seconds, after which it is killed.

    Raises:
      subprocess.TimeoutExpired: it was.
    """
    words = [str(each) for each in arguments]
    if words[0].endswith(".py"):
        words[0] = str(REPOSITORY / "scripts" / words[0])  # a whole path stays
    variables = {**os.environ, **(environment or {})}
    with tempfile.TemporaryDirectory() as folder:
        outputs = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        process = _FORKS.Process(target=_run, args=(words, str(cwd), variables, outputs))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout)
        printed = [Path(path).read_text(encoding="utf-8") for path in outputs]
        return subprocess.CompletedProcess(words, process.exitcode, *printed)


def _run(words, cwd, variables, outputs):
    for number, path in enumerate(outputs, 1):
        with open(path, "wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = [entry for entry in variables.get("PYTHONPATH", "").split(os.pathsep) if entry]
    try:
        if words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            sys.path.insert(0, "")
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = words
            sys.path.insert(0, os.path.dirname(words[0]))
            runpy.run_path(words[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out
