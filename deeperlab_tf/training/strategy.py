"""Which devices a program runs on: from a name of `devices.STRATEGIES` to a tf.distribute.Strategy.

What the name leaves open is read from --tpu, TF_CONFIG or Slurm's variables.
"""

from __future__ import annotations

import os

import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.training.cluster import answers, await_peers, cluster_from_environment
from deeperlab_tf.training.devices import CLUSTER_TIMEOUT, STRATEGIES


def build_strategy(
    name: str = "auto", tpu: str = "", timeout: float = CLUSTER_TIMEOUT
) -> tf.distribute.Strategy:
    """Makes a tf.distribute.Strategy.

    Args:
      name: one of `devices.STRATEGIES`.
      tpu: `local`, a TPU's name or grpc://host:port; "": the environment's TPU_NAME.
      timeout: seconds to wait for other hosts.

    Raises:
      UserError: an unknown name, a malformed TF_CONFIG, a host that does not answer (names its
        address), no TPU.
    """
    if name not in STRATEGIES:
        raise UserError(f"--strategy is {name!r}; known are {', '.join(STRATEGIES)}.")
    tf.get_logger().setLevel("WARNING")  # or each collective of each layer gets a line
    tpu = tpu or os.environ.get("TPU_NAME", "")
    if name == "auto":
        name = _detect(tpu)
    if name == "tpu":
        return _tpu(tpu or "local", timeout)
    if name == "multi_worker":
        return _multi_worker(timeout)
    if name == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return tf.distribute.OneDeviceStrategy("/cpu:0")
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(gpus or tf.config.list_logical_devices("CPU"))
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def _detect(tpu: str) -> str:
    if tpu:
        return "tpu"
    cluster = cluster_from_environment()
    if cluster is not None and len(cluster.addresses) > 1:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def _multi_worker(timeout: float) -> tf.distribute.Strategy:
    cluster = cluster_from_environment()
    if cluster is None:
        raise UserError(
            "--strategy=multi_worker needs the hosts: "
            "set TF_CONFIG on each, or start the program by Slurm's srun."
        )
    await_peers(cluster, timeout)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster.jobs),
        task_type=cluster.task_type,
        task_id=cluster.task_id,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def _tpu(tpu: str, timeout: float) -> tf.distribute.Strategy:
    """TPUStrategy on `local`, a name or grpc://host:port."""
    is_address = tpu.startswith("grpc://")
    if is_address and not answers(tpu[len("grpc://") :], timeout):
        raise UserError(
            f"no TPU answers at {tpu} within {timeout:g} s; "
            "check --tpu and that the TPU is running."
        )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
        if tpu != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # each way of not finding a TPU raises another type
        reason = str(error).strip().split("\n")[0][:200]
        raise UserError(
            f"there is no TPU {tpu!r} ({reason}); check --tpu, or choose another --strategy."
        ) from error


def is_one_device(strategy: tf.distribute.Strategy) -> bool:
    """Whether all runs on one CPU or GPU of this machine."""
    return isinstance(strategy, tf.distribute.OneDeviceStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type is None:
        return True
    chief_job = "chief" if "chief" in resolver.cluster_spec().jobs else resolver.task_type
    return resolver.task_type == chief_job and resolver.task_id == 0


def check_batch(strategy: tf.distribute.Strategy, batch_size: int, parts: int = 1) -> None:
    """Raises UserError unless every replica can take the same share of a batch, in equal parts."""
    replicas = strategy.num_replicas_in_sync
    shares = replicas * parts
    if batch_size % shares == 0:
        return
    steps = f" times {parts} accumulation steps" if parts > 1 else ""
    nearest = max(1, round(batch_size / shares)) * shares
    raise UserError(
        f"config.train.batch_size is {batch_size}, which is not a multiple of "
        f"{replicas} replicas{steps}; use {nearest}, for example."
    )
