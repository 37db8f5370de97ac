"""One job at a time in a folder, on this machine's disks and in buckets.

A lock on a disk is the system's: it is free once its job has ended, however that was. In a bucket
it is an object that its job writes anew every few seconds; one that no longer changes is of a job
that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import SCRATCH

BEAT = 10.0  # seconds between two signs of life
_PATIENCE = 3  # beats without one, after which a job counts as dead

_held = set()  # keys of this process' locks in buckets


@contextlib.contextmanager
def only_job(folder: str, name: str) -> Iterator[None]:
    """Context in which no other job that asks for the same lock is at work.

    Args:
      folder: that the job writes into; made where missing.
      name: of the job's part in it.

    Raises:
      UserError: another is; says where it runs.

    Example:
      with only_job("records", "train"):
          write_shards()
    """
    path = storage.join(folder, f"{SCRATCH}{name}.lock")
    try:
        storage.makedirs(folder)
    except UserError:
        raise
    except OSError as error:
        raise _cannot_write(folder, error) from error
    locked = _locked_object(path) if storage.is_remote(path) else _locked_file(path)
    with locked:
        yield


def _busy(path: str, owner: str) -> UserError:
    folder, name = storage.split(path)
    part = name[len(SCRATCH) : -len(".lock")]
    return UserError(
        f"another job{owner} is writing {part!r} in {folder}; wait for it, or choose another "
        "--output."
    )


def _cannot_write(path: str, error: OSError) -> UserError:
    return UserError(
        f"cannot write {path}: {error.strerror}; check the folder and its permissions."
    )


def _describe() -> dict[str, str | int]:
    return dict(host=socket.gethostname(), process=os.getpid())


def _owner(text: str) -> str:
    try:
        owner = json.loads(text)
        return f" (process {owner['process']} on {owner['host']})"
    except (ValueError, KeyError, TypeError):
        return ""


# === On a disk ===


@contextlib.contextmanager
def _locked_file(path: str) -> Iterator[None]:
    try:
        # Windows has no such locks.
        import fcntl
    except ImportError:
        yield
        return
    while True:
        try:
            file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise _cannot_write(path, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = _owner(file.read())
            file.close()
            raise _busy(path, owner) from error
        # The job before may have removed it between the two.
        with contextlib.suppress(OSError):
            if os.stat(path).st_ino == os.fstat(file.fileno()).st_ino:
                break
        file.close()
    with file:
        file.truncate(0)
        file.write(json.dumps(_describe()))
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.remove(path)


# === In a bucket ===


@contextlib.contextmanager
def _locked_object(path: str) -> Iterator[None]:
    key = uuid.uuid4().hex
    _held.add(key)
    _wait_for_sign_of_life(path)
    _beat(path, key, 0)
    time.sleep(BEAT / 10)  # of two that begin at once, the later one has written last
    if key not in _read(path):
        raise _busy(path, _owner(_read(path)))
    stopped = threading.Event()

    def beat():
        count = 0
        while not stopped.wait(BEAT):
            count += 1
            with contextlib.suppress(OSError):
                _beat(path, key, count)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        with contextlib.suppress(OSError):
            storage.remove(path)


def _wait_for_sign_of_life(path: str) -> None:
    """Returns once there is no living job; UserError as soon as there is one."""
    before = _read(path)
    if not before or _is_dead_here(before):
        return
    for _ in range(_PATIENCE):
        time.sleep(BEAT)
        now = _read(path)
        if not now:
            return
        if now != before:
            raise _busy(path, _owner(now))


def _is_dead_here(text: str) -> bool:
    """Whether the job was a process of this machine that is no more."""
    try:
        owner = json.loads(text)
        if owner["host"] != socket.gethostname():
            return False
        os.kill(owner["process"], 0)
        # A process may be what it was before it started itself anew.
        return owner["process"] == os.getpid() and owner["key"] not in _held
    except ProcessLookupError:
        return True
    except (ValueError, KeyError, TypeError, OSError):
        return False


def _beat(path: str, key: str, count: int) -> None:
    with storage.open(path, "w") as file:
        file.write(json.dumps(dict(_describe(), key=key, beat=count)))


def _read(path: str) -> str:
    try:
        with storage.open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        if storage.facts(path) is None:
            return ""
        raise error
