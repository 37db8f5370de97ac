"""Several hosts that train together: who they are, waiting for them, and losing one."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from deeperlab_tf.errors import UserError

_JOBS = ("chief", "worker")  # of TF_CONFIG; training is synchronous, without parameter servers
_RETRY_SECONDS = 0.5
_LOST_HOST = (  # what a collective ends with when one of its hosts is gone
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
    tf.errors.DeadlineExceededError,
)


class Cluster(NamedTuple):
    """The hosts of a job and this one's place among them.

    Attributes:
      jobs: name of a job ("chief", "worker") -> list of "host:port".
      task_type: the job that this process belongs to.
      task_id: its place in the list.
    """

    jobs: dict[str, list[str]]
    task_type: str
    task_id: int

    @property
    def addresses(self) -> list[str]:
        """Those of all hosts."""
        return [address for tasks in self.jobs.values() for address in tasks]

    @property
    def address(self) -> str:
        """That of this host."""
        return self.jobs[self.task_type][self.task_id]


def cluster_from_environment() -> Cluster | None:
    """The `Cluster` that TF_CONFIG or, without it, Slurm's variables describe.

    Returns:
      None where neither describes one.

    Raises:
      UserError: says what is wrong with the variables.
    """
    if os.environ.get("TF_CONFIG"):
        return parse_tf_config(os.environ["TF_CONFIG"])
    if "SLURM_STEP_NODELIST" in os.environ and "SLURM_PROCID" in os.environ:
        return _slurm_cluster()
    return None


def parse_tf_config(text: str) -> Cluster | None:
    """Reads TF_CONFIG.

    Args:
      text: JSON such as {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker",
        "index": 0}}.

    Returns:
      `Cluster`, or None where it names no cluster.

    Raises:
      UserError: says what is wrong with it.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UserError(f"TF_CONFIG is not valid JSON ({error}).") from error
    if not isinstance(values, dict):
        raise UserError('TF_CONFIG must be a JSON object with "cluster" and "task".')
    jobs, task = values.get("cluster"), values.get("task")
    if not jobs:
        return None
    _check_jobs(jobs)
    _check_task(task, jobs)
    return Cluster({job: list(jobs[job]) for job in sorted(jobs)}, task["type"], task["index"])


def _check_jobs(jobs: Any) -> None:
    is_dict = isinstance(jobs, dict)
    if not is_dict or not all(isinstance(tasks, list) and tasks for tasks in jobs.values()):
        raise UserError(
            'TF_CONFIG\'s "cluster" must list addresses by job, as {"worker": ["host:port", ...]}.'
        )
    unknown = sorted(set(jobs) - set(_JOBS))
    if unknown:
        raise UserError(
            f"TF_CONFIG names the job {unknown[0]!r}; training runs on {' and '.join(_JOBS)} only."
        )
    for tasks in jobs.values():
        for address in tasks:
            _split(address)


def _check_task(task: Any, jobs: dict[str, list[str]]) -> None:
    if not isinstance(task, dict) or task.get("type") not in jobs:
        raise UserError(
            f'TF_CONFIG\'s "task" must have a "type" out of {sorted(jobs)} and an "index".'
        )
    index, job = task.get("index"), task["type"]
    count = len(jobs[job])
    if not isinstance(index, int) or not 0 <= index < count:
        raise UserError(
            f'TF_CONFIG\'s "task" has index {index!r}; give 0 to {count - 1}, one per {job}.'
        )


def _slurm_cluster() -> Cluster:
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver
    try:
        # Slurm's variables are asked for the hosts only: devices are told to TensorFlow later.
        tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
        resolver = slurm(gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False)
        return Cluster(resolver.cluster_spec().as_dict(), *resolver.get_task_info())
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"Slurm's variables describe no job step ({error}); start the program by srun."
        ) from error


# === Waiting for the others ===


def await_peers(cluster: Cluster, timeout: float) -> None:
    """Waits until every other host of `cluster` listens at its address.

    This host listens at its own meanwhile. TensorFlow itself would wait for an hour, and then not
    say for whom.

    Raises:
      UserError: a host did not answer within `timeout` seconds, or this one's port is taken.
    """
    waiting = [address for address in cluster.addresses if address != cluster.address]
    deadline = time.monotonic() + timeout
    with _listen(cluster.address, backlog=len(waiting) + 1):
        while waiting:
            waiting = [
                address for address in waiting if not answers(address, deadline - time.monotonic())
            ]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise UserError(
                    f"no answer from {', '.join(waiting)} within {timeout:g} s; "
                    "start the program there too and check the addresses in TF_CONFIG, "
                    "or wait longer by --cluster_timeout."
                )
            time.sleep(_RETRY_SECONDS)


def _listen(address: str, backlog: int) -> socket.socket:
    _, port = _split(address)
    try:
        return socket.create_server(("", port), backlog=backlog)
    except OSError as error:
        raise UserError(
            f"cannot listen on {address}, this host's address ({error.strerror}); "
            "give it a free port."
        ) from error


def answers(address: str, seconds: float) -> bool:
    """Whether somebody listens at "host:port"; waits for `seconds`, at most for five."""
    timeout = min(max(seconds, 0.1), 5.0)
    try:
        socket.create_connection(_split(address), timeout=timeout).close()
    except OSError:
        return False
    return True


def _split(address: Any) -> tuple[str, int]:
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"the address {address!r} is not host:port; correct TF_CONFIG.")
    return host.strip("[]"), int(port)


# === Losing one ===


def lost_host_errors(strategy: tf.distribute.Strategy) -> tuple[type[Exception], ...]:
    """Exception types that mean, under this strategy, that another host is gone."""
    return _LOST_HOST if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) else ()


def restart_where_host_is_lost(
    strategy: tf.distribute.Strategy, function: Callable[[], Any]
) -> Any:
    """Calls `function()`; where another host is lost meanwhile, starts this program anew.

    The program then waits for that host: TensorFlow cannot take one back into a running job. The
    program anew is the same process with the same command, so that whatever watches over it sees
    nothing.
    """
    try:
        return function()
    except lost_host_errors(strategy) as error:
        lost = type(error).__name__
        logging.warning("lost another host (%s); starting anew and waiting for it", lost)
        os.execv(sys.executable, [sys.executable, *sys.argv])
