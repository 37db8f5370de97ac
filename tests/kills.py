"""Jobs that write shards, in processes of their own that a test kills at a random moment.

python -m tests.kills KIND ARGUMENTS, the latter as JSON.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from deeperlab_tf.config_json import config_from_json
from deeperlab_tf.work import beam, local
from input_pipeline.records.write import write_records

KILLS = int(os.environ.get("DEEPERLAB_KILLS", "1"))  # of each kind
_REPOSITORY = Path(__file__).resolve().parents[1]
_SOON = 0.2  # seconds, in which some things are written


def records(config: str, output: str, processes: int) -> None:
    """Of `train`, of a config as JSON, as `build_records.py` builds them."""
    write_records(config_from_json(config), "train", output, 20, processes)


def records_on_beam(config: str, output: str, scratch: str) -> None:
    """The same on Beam."""
    run = functools.partial(beam.run, options=["--runner=DirectRunner"], scratch=scratch)
    write_records(config_from_json(config), "train", output, 20, run=run)


def parses(files: Mapping[str, str], model: str, output: str, processes: int) -> None:
    """Of photos, as `predict.py --shards` writes them."""
    # Imported here: it loads TensorFlow, which records do without.
    from deeperlab_tf.prediction.shards import Photos, parse_shards

    run = functools.partial(local.run, processes=processes)
    parse_shards(Photos(files, model, {}, 2), output, 10, run)


_KINDS = {each.__name__: each for each in (records, records_on_beam, parses)}


def run_whole(kind: str, arguments: dict) -> None:
    """Does a job undisturbed, or what is left of it; as of `start_and_kill`."""
    process = _started(kind, arguments)
    errors = process.communicate(timeout=300)[1].decode()
    assert not process.returncode, errors


def start_and_kill(kind: str, arguments: dict, ending: str, only_worker: bool) -> None:
    """Starts a job and kills it with SIGKILL: when a random number of its shards are there, a
    random moment later.

    Args:
      kind: name of one of the functions above.
      arguments: its own; `output` is where shards appear.
      ending: of the file of a shard that is written last.
      only_worker: kill one of its workers; else all of its processes.
    """
    shards, moment = random.randint(0, 7), random.uniform(0, _SOON)
    print(f"killed {moment:.3f} s after shard {shards}, only a worker: {only_worker}")
    process = _started(kind, arguments)
    output = Path(arguments["output"])
    while process.poll() is None and len(list(output.glob(f"*{ending}"))) < shards:
        time.sleep(0.005)
    workers = _workers(process.pid)
    while only_worker and process.poll() is None and not workers:
        workers = _workers(process.pid)
    time.sleep(moment)
    if only_worker and workers and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(random.choice(workers), signal.SIGKILL)
    elif process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    errors = process.communicate(timeout=300)[1].decode()
    # It may have ended before, or the worker may have had nothing more to do.
    assert process.returncode in (0, -signal.SIGKILL) or "was killed, most likely" in errors, errors


def _started(kind: str, arguments: dict) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.kills", kind, json.dumps(arguments)]
    environment = dict(os.environ, PYTHONPATH=str(_REPOSITORY))
    return subprocess.Popen(
        command, cwd=_REPOSITORY, env=environment, start_new_session=True, stderr=subprocess.PIPE
    )


def _workers(process: int) -> list[int]:
    """Processes that a job's server has forked."""
    return [worker for child in _children(process) for worker in _children(child)]


def _children(process: int) -> list[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:  # it has ended
        return []
    return [int(word) for word in text.split()]


if __name__ == "__main__":
    _KINDS[sys.argv[1]](**json.loads(sys.argv[2]))
