"""Where a program can run."""

STRATEGIES = ("auto", "cpu", "one_device", "mirrored", "multi_worker", "tpu")
CLUSTER_TIMEOUT = 300.0  # seconds
