"""On however many replicas and hosts, each image counts once."""

from __future__ import annotations

import functools
import json
import types

import pytest
import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation import distributed
from input_pipeline import make_dataset
from input_pipeline.records.write import write_records
from tests.deeperlab_tf.evaluation import replicas
from tests.input_pipeline.conftest import FolderMaker
from tests.programs import run_program


@pytest.mark.slow
@pytest.mark.both_stacks
@pytest.mark.parametrize("number", replicas.REPLICAS)
def test_every_image_comes_once_in_order_with_its_own_parse(repository, number):
    program = f"from {replicas.__name__} import main; main({number})"
    done = run_program("-c", program, environment={"PYTHONPATH": str(repository)})
    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout.splitlines()[-1])
    assert len(cases) == 2 * len(replicas.BATCH_SIZES) * len(replicas.IMAGES)
    for (batch_size, count, sizes), numbers, own in cases:
        assert numbers == list(range(count)) and own, (batch_size, count, sizes)


@pytest.mark.parametrize(
    "devices, is_padded, is_compiled",
    [
        (["/device:GPU:0", "/device:GPU:1"], True, True),
        (["/device:GPU:0", "/device:GPU:1"], False, False),
        (["/device:GPU:0"], True, False),
        (["/device:CPU:0", "/device:CPU:1"], True, False),
    ],
)
def test_several_gpus_compile_their_step(tiny_config, devices, is_padded, is_compiled):
    strategy = types.SimpleNamespace(extended=types.SimpleNamespace(worker_devices=devices))
    tiny_config.eval.pad_to_size = is_padded
    assert distributed.is_worth_compiling(strategy, tiny_config) == is_compiled


def test_tpus_are_not_asked_whether_the_host_can_compile(tiny_config, toy_dataset, monkeypatch):
    """TensorFlow for TPUs compiles for these alone."""

    def refuse():
        raise UserError("it lacks XLA")

    monkeypatch.setattr(distributed, "check_compiler", refuse)
    parts = None, tiny_config, toy_dataset, tf.distribute.get_strategy()
    made = functools.partial(distributed.DistributedPredictor, *parts)
    with pytest.raises(UserError, match="it lacks XLA"):
        made(compile=True)
    monkeypatch.setattr(distributed, "_is_tpu", lambda *_: True)
    made(compile=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "records"])
def test_every_image_is_read_by_one_host_once(tmp_path, kind):
    (tmp_path / "data").mkdir()
    maker = FolderMaker(tmp_path / "data")
    maker.write(split={"every_nth": 2})
    config = maker.config
    config.data.crop_size = config.eval.image_size = (33, 33)
    config.eval.batch_size = 2
    if kind == "records":
        output = str(tmp_path / "records")
        write_records(config, "val", output, num_shards=4, processes=1)
        config.data.records = output
    # Fewer than the images, as many, and more.
    for hosts in (2, 3, 5):
        found = []
        for host in range(hosts):
            context = tf.distribute.InputContext(hosts, host, hosts)
            for _, targets in make_dataset(config, "val", input_context=context):
                found += [name.decode() for name in targets["image_id"].numpy()]
        assert sorted(found) == ["im1", "im3", "im5"], hosts
