"""The choices of --strategy. TensorFlow is not imported here, so that --help starts fast."""

from __future__ import annotations

# Name -> which devices a program then runs on.
STRATEGIES = {
    "auto": "a TPU where --tpu or TPU_NAME names one, several hosts where TF_CONFIG or Slurm "
    "describe them, several GPUs where there are, else one device",
    "cpu": "the processor, even where there are GPUs",
    "one_device": "the first GPU, or the processor",
    "mirrored": "all GPUs of this host, or all its logical processors",
    "multi_worker": "this host as one of several; each runs the same command with its own "
    "TF_CONFIG, or under srun",
    "tpu": "a TPU host or a slice of a pod",
}
CLUSTER_TIMEOUT = 300.0  # seconds to wait for the other hosts, or the TPU, to answer
