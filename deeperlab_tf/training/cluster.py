"""Several hosts that train together: who they are, waiting for them, and losing one."""

import dataclasses
import json
import os
import socket
import sys
import time

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


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The hosts of a job and this one's place among them.

    Attributes:
      jobs: dict of job name ("chief", "worker") -> list of "host:port".
      task_type, task_id: this process.
    """

    jobs: dict
    task_type: str
    task_id: int

    @property
    def addresses(self):
        return [address for tasks in self.jobs.values() for address in tasks]

    @property
    def address(self):
        return self.jobs[self.task_type][self.task_id]


def cluster_from_environment():
    """The `Cluster` that TF_CONFIG or, without it, Slurm's variables describe; None where neither
    does.
    """
    if os.environ.get("TF_CONFIG"):
        return parse_tf_config(os.environ["TF_CONFIG"])
    if "SLURM_STEP_NODELIST" in os.environ and "SLURM_PROCID" in os.environ:
        return _slurm_cluster()
    return None


def parse_tf_config(text):
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
    if not isinstance(jobs, dict) or not all(
        isinstance(tasks, list) and tasks for tasks in jobs.values()
    ):
        raise UserError(
            'TF_CONFIG\'s "cluster" must list addresses by job, as {"worker": ["host:port", ...]}.'
        )
    unknown = sorted(set(jobs) - set(_JOBS))
    if unknown:
        raise UserError(
            f"TF_CONFIG names the job {unknown[0]!r}; training runs on {' and '.join(_JOBS)} only."
        )
    for address in (address for tasks in jobs.values() for address in tasks):
        _split(address)
    if not isinstance(task, dict) or task.get("type") not in jobs:
        raise UserError(
            f'TF_CONFIG\'s "task" must have a "type" out of {sorted(jobs)} and an "index".'
        )
    index = task.get("index")
    if not isinstance(index, int) or not 0 <= index < len(jobs[task["type"]]):
        raise UserError(
            f'TF_CONFIG\'s "task" has index {index!r}; give 0 to {len(jobs[task["type"]]) - 1}, one a {task["type"]}.'
        )
    return Cluster({job: list(jobs[job]) for job in sorted(jobs)}, task["type"], index)


def _slurm_cluster():
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver
    try:
        # the devices are told to TensorFlow below; this asks Slurm's variables for the hosts only
        tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
        resolver = slurm(gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False)
        return Cluster(resolver.cluster_spec().as_dict(), *resolver.get_task_info())
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"Slurm's variables describe no job step ({error}); start the program by srun."
        ) from error


def await_peers(cluster, timeout):
    """Waits until every other host of `cluster` listens at its address, and listens at this one's
    meanwhile.

    TensorFlow itself would wait for an hour, and then not say for whom.

    Raises:
      UserError: a host did not answer within `timeout` seconds, or this one's port is taken.
    """
    _, port = _split(cluster.address)
    waiting = [address for address in cluster.addresses if address != cluster.address]
    deadline = time.monotonic() + timeout
    try:
        door = socket.create_server(("", port), backlog=len(waiting) + 1)
    except OSError as error:
        raise UserError(
            f"cannot listen on {cluster.address}, this host's address ({error.strerror}); give it a free port."
        ) from error
    with door:
        while waiting:
            waiting = [
                address for address in waiting if not answers(address, deadline - time.monotonic())
            ]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise UserError(
                    f"no answer from {', '.join(waiting)} within {timeout:g} s; start the program there too and check "
                    "the addresses in TF_CONFIG, or wait longer by --cluster_timeout."
                )
            time.sleep(_RETRY_SECONDS)


def answers(address, seconds):
    try:
        socket.create_connection(_split(address), timeout=min(max(seconds, 0.1), 5.0)).close()
    except OSError:
        return False
    return True


def _split(address):
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"the address {address!r} is not host:port; correct TF_CONFIG.")
    return host.strip("[]"), int(port)


def restart_where_host_is_lost(strategy, function):
    """Calls `function()`; where another host is lost meanwhile, starts this program anew, which
    then waits for it.

    TensorFlow cannot take a host back into a running job. The program anew is the same process with
    the same command, so that whatever watches over it sees nothing.
    """
    try:
        return function()
    except lost_host_errors(strategy) as error:
        logging.warning(
            "lost another host (%s); starting anew and waiting for it", type(error).__name__
        )
        os.execv(sys.executable, [sys.executable, *sys.argv])


def lost_host_errors(strategy):
    """Exception types that mean, under this strategy, that another host is gone."""
    return _LOST_HOST if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) else ()
