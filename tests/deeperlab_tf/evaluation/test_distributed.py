"""On however many replicas and hosts, each image counts once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from input_pipeline import make_dataset
from input_pipeline.records.write import write_records
from tests.deeperlab_tf.evaluation import replicas
from tests.input_pipeline.conftest import FolderMaker


@pytest.fixture(scope="module")
def parsed(repository):
    """From (replicas, batch size, images, sizes) to what came."""
    environment = dict(os.environ, PYTHONPATH=str(repository), CUDA_VISIBLE_DEVICES="")
    result = subprocess.run(
        [sys.executable, "-m", replicas.__name__],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    return {tuple(case): (numbers, own) for case, numbers, own in found}


@pytest.mark.both_stacks
@pytest.mark.parametrize("sizes", ["one", "several"])
@pytest.mark.parametrize("count", range(1, replicas.MOST_IMAGES + 1))
def test_every_image_comes_once_in_order_with_its_own_parse(parsed, count, sizes):
    cases = [case for case in parsed if case[2:] == (count, sizes)]
    assert len(cases) == replicas.MOST_REPLICAS * replicas.MOST_IN_BATCH
    for case in cases:
        numbers, own = parsed[case]
        assert numbers == list(range(count)) and own, case


@pytest.mark.parametrize("kind", ["folder", "records"])
@pytest.mark.parametrize("every, images", [(1, 6), (2, 3), (6, 1)])
def test_every_image_is_read_by_one_host_once(tmp_path, kind, every, images):
    (tmp_path / "data").mkdir()
    maker = FolderMaker(tmp_path / "data")
    maker.write(split={"every_nth": every})
    config = maker.config
    config.data.crop_size = config.eval.image_size = (33, 33)
    if kind == "records":
        output = str(tmp_path / "records")
        write_records(config, "val", output, num_shards=4, processes=1)
        config.data.records = output
    names = sorted(f"im{number}" for number in range(6) if number % every == every - 1)
    assert len(names) == images
    for hosts in (1, 2, 4, 7):
        for batch_size in (1, 4):
            config.eval.batch_size = batch_size
            found = []
            for host in range(hosts):
                context = tf.distribute.InputContext(hosts, host, hosts)
                for _, targets in make_dataset(config, "val", input_context=context):
                    found += [name.decode() for name in targets["image_id"].numpy()]
            assert sorted(found) == names, (hosts, batch_size)
