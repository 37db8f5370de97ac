"""Two jobs do not write the same."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import lock, storage

pytestmark = pytest.mark.both_stacks

PLACES = ["disk", "memory://locked"]


@pytest.fixture(params=PLACES)
def place(request, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.05)
    return str(tmp_path / "new") if request.param == "disk" else request.param


def test_the_second_job_says_who_the_first_is(place):
    with lock.only_job(place, "train"):
        message = r"another job \(process \d+ on .*\) is writing 'train' in .*; wait for it"
        with pytest.raises(UserError, match=message), lock.only_job(place, "train"):
            pass
        with lock.only_job(place, "val"):
            pass
    with lock.only_job(place, "train"):
        pass
    assert storage.listdir(place) == []


def test_a_job_that_fails_frees_its_lock(place):
    with pytest.raises(RuntimeError), lock.only_job(place, "train"):
        raise RuntimeError
    with lock.only_job(place, "train"):
        pass


def test_a_job_that_was_killed_keeps_nothing_on_a_disk(tmp_path, repository):
    code = (
        "from deeperlab_tf.files.lock import only_job\n"
        f"with only_job({str(tmp_path)!r}, 'train'):\n"
        "    print('locked', flush=True); input()"
    )
    command = [sys.executable, "-c", code]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    job = subprocess.Popen(command, cwd=repository, **pipes)
    assert job.stdout.readline() == b"locked\n"
    with pytest.raises(UserError, match=f"process {job.pid}"), lock.only_job(tmp_path, "train"):
        pass
    job.kill()
    job.wait()
    with lock.only_job(tmp_path, "train"):
        pass


def test_a_job_of_another_machine_that_was_killed_is_taken_over(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.05)
    path = "memory://dead/.deeperlab-train.lock"
    with storage.open(path, "w") as file:
        file.write('{"host": "elsewhere", "process": 1, "key": "x", "beat": 7}')
    with lock.only_job("memory://dead", "train"):
        assert "elsewhere" not in lock._read(path)


def test_a_job_of_this_machine_that_was_killed_is_taken_over_at_once(monkeypatch):
    job = subprocess.Popen([sys.executable, "-c", ""])
    job.wait()
    monkeypatch.setattr(lock, "BEAT", 1.0)
    with storage.open("memory://here/.deeperlab-train.lock", "w") as file:
        file.write(lock.json.dumps(dict(lock._describe(), process=job.pid)))
    start = time.monotonic()
    with lock.only_job("memory://here", "train"):
        assert time.monotonic() - start < lock.BEAT
