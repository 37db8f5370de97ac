"""Which devices a program runs on, from one flag: `--strategy`, with `--tpu`, TF_CONFIG or Slurm's
variables behind it.

auto           a TPU where --tpu or TPU_NAME names one, several hosts where TF_CONFIG or Slurm
describe them, several
               GPUs where there are, else one device
cpu            the processor, even where there are GPUs
one_device     the first GPU, or the processor
mirrored       all GPUs of this host, or all its logical processors
multi_worker   this host as one of several; each runs the same command with its own TF_CONFIG, or
under `srun`
tpu            a TPU host or a slice of a pod
"""

import os

import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.training.cluster import answers, await_peers, cluster_from_environment
from deeperlab_tf.training.devices import CLUSTER_TIMEOUT, STRATEGIES


def build_strategy(name="auto", tpu="", timeout=CLUSTER_TIMEOUT):
    """Makes a tf.distribute.Strategy.

    Args:
      name: one of `STRATEGIES`.
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


def _detect(tpu):
    if tpu:
        return "tpu"
    cluster = cluster_from_environment()
    if cluster is not None and len(cluster.addresses) > 1:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def is_chief(strategy):
    """Whether this process is the one that writes files."""
    resolver = strategy.cluster_resolver
    if (
        not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        or resolver.task_type is None
    ):
        return True
    return resolver.task_id == 0 and (
        resolver.task_type == "chief" or "chief" not in resolver.cluster_spec().jobs
    )


def check_batch(strategy, batch_size, parts=1):
    """Raises UserError unless every replica can take the same share of a batch, in `parts` equal
    parts.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % (replicas * parts):
        steps = f" times {parts} accumulation steps" if parts > 1 else ""
        raise UserError(
            f"config.train.batch_size is {batch_size}, which is no multiple of {replicas} replicas{steps}; "
            f"use {max(1, round(batch_size / (replicas * parts))) * replicas * parts}, for example."
        )


# === Several hosts, TPU ===


def _multi_worker(timeout):
    cluster = cluster_from_environment()
    if cluster is None:
        raise UserError(
            "--strategy=multi_worker needs the hosts: set TF_CONFIG on each, or start the program by Slurm's srun."
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


def _tpu(tpu, timeout):
    """TPUStrategy on `local`, a name or grpc://host:port."""
    if tpu.startswith("grpc://") and not answers(tpu[len("grpc://") :], timeout):
        raise UserError(
            f"no TPU answers at {tpu} within {timeout:g} s; check --tpu and that the TPU is running."
        )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
        if tpu != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # each way of not finding a TPU raises another kind
        reason = str(error).strip().split("\n")[0][:200]
        raise UserError(
            f"there is no TPU {tpu!r} ({reason}); check --tpu, or choose another --strategy."
        ) from error
