"""--strategy: what it builds from which environment, and one sentence for each mistake."""

import json
import socket
import threading
import time

import pytest
import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.training.cluster import (
    Cluster,
    await_peers,
    cluster_from_environment,
    parse_tf_config,
)
from deeperlab_tf.training.strategy import build_strategy, check_batch, is_chief

VARIABLES = ("TF_CONFIG", "TPU_NAME", "SLURM_STEP_NODELIST", "SLURM_PROCID")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def tf_config(cluster, task):
    return json.dumps({"cluster": cluster, "task": task})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", ["auto", "cpu", "one_device", "mirrored"])
def test_one_host_needs_no_environment(name):
    strategy = build_strategy(name)
    assert strategy.num_replicas_in_sync >= 1 and is_chief(strategy)


def test_hosts_come_from_tf_config(monkeypatch):
    jobs = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    monkeypatch.setenv("TF_CONFIG", tf_config(jobs, {"type": "worker", "index": 1}))
    cluster = cluster_from_environment()
    assert cluster.addresses == ["c:3", "a:1", "b:2"] and cluster.address == "b:2"


def test_hosts_come_from_slurm_through_tensorflows_resolver(monkeypatch):
    for name, value in (
        ("STEP_NODELIST", "node[1-2]"),
        ("PROCID", "2"),
        ("STEP_NUM_TASKS", "4"),
        ("STEP_TASKS_PER_NODE", "2(x2)"),
    ):
        monkeypatch.setenv(f"SLURM_{name}", value)
    cluster = cluster_from_environment()
    assert cluster.addresses == ["node1:8888", "node1:8889", "node2:8888", "node2:8889"]
    assert cluster.address == "node2:8888"
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    with pytest.raises(UserError, match="srun"):
        cluster_from_environment()


def test_a_single_task_is_no_cluster(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"task": {"type": "worker", "index": 0}}))
    assert cluster_from_environment() is None
    assert not isinstance(build_strategy("auto"), tf.distribute.MultiWorkerMirroredStrategy)


def test_hosts_that_come_late_are_waited_for():
    ports = [free_port(), free_port()]
    addresses = [f"127.0.0.1:{port}" for port in ports]
    done = threading.Event()

    def arrive():
        await_peers(Cluster({"worker": addresses}, "worker", 1), 20)
        # As TensorFlow's server does from then on.
        with socket.create_server(("127.0.0.1", ports[1])):
            done.wait(20)

    late = threading.Timer(0.7, arrive)
    late.start()
    await_peers(Cluster({"worker": addresses}, "worker", 0), 20)
    done.set()
    late.join()


# === Bad input ===


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        (tf_config({"worker": "a:1"}, {"type": "worker", "index": 0}), "list addresses"),
        (tf_config({"worker": ["a"]}, {"type": "worker", "index": 0}), "'a' is not host:port"),
        (tf_config({"worker": ["a:99999"]}, {"type": "worker", "index": 0}), "'a:99999'"),
        (tf_config({"ps": ["a:1"]}, {"type": "ps", "index": 0}), "job 'ps'"),
        (tf_config({"worker": ["a:1"]}, {"type": "chief", "index": 0}), '"type" out of'),
        (tf_config({"worker": ["a:1"]}, {"type": "worker", "index": 1}), "index 1; give 0 to 0"),
        (tf_config({"worker": ["a:1"]}, None), '"task"'),
    ],
)
def test_a_malformed_tf_config_is_explained(text, words):
    with pytest.raises(UserError) as raised:
        parse_tf_config(text)
    assert words in str(raised.value) and "TF_CONFIG" in str(raised.value)


def test_an_unreachable_host_is_named_in_time(monkeypatch):
    silent = f"127.0.0.1:{free_port()}"
    cluster = {"worker": [f"127.0.0.1:{free_port()}", silent, "no-such-host.invalid:2222"]}
    monkeypatch.setenv("TF_CONFIG", tf_config(cluster, {"type": "worker", "index": 0}))
    start = time.monotonic()
    with pytest.raises(
        UserError, match=rf"no answer from {silent}, no-such-host.invalid:2222 within 1 s"
    ):
        build_strategy("auto", timeout=1)
    assert time.monotonic() - start < 15


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        with pytest.raises(UserError, match=f"cannot listen on {address}"):
            await_peers(Cluster({"worker": [address, "127.0.0.1:1"]}, "worker", 0), 1)


@pytest.mark.parametrize("tpu", ["local", "grpc://127.0.0.1:1"])
def test_no_tpu_where_one_was_asked_for(tpu):
    with pytest.raises(UserError, match="no TPU"):
        build_strategy("tpu", tpu, timeout=1)
    with pytest.raises(UserError, match="no TPU"):
        build_strategy("auto", tpu, timeout=1)


def test_unknown_strategies_and_missing_hosts():
    with pytest.raises(UserError, match="'gpu'; known are auto, cpu"):
        build_strategy("gpu")
    with pytest.raises(UserError, match="set TF_CONFIG"):
        build_strategy("multi_worker")


def test_a_batch_that_replicas_cannot_share():
    class Four:
        num_replicas_in_sync = 4

    check_batch(Four, 8, 2)
    with pytest.raises(
        UserError, match=r"batch_size is 6, which is not a multiple of 4 replicas; use 8"
    ):
        check_batch(Four, 6)
    with pytest.raises(UserError, match="4 replicas times 2 accumulation steps"):
        check_batch(Four, 12, 2)
