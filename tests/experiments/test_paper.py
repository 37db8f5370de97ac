"""Every row of the paper's tables builds its network and trains on records of its dataset's format.

Networks are the real ones; only images are small. Equal networks and equal data are shared between
rows.
"""

import functools
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import model
from deeperlab_tf.config import check_config
from deeperlab_tf.training.optimizer import build_optimizer
from deeperlab_tf.training.trainer import Trainer
from input_pipeline import make_dataset, open_source
from input_pipeline.datasets import cityscapes, coco, vistas, voc
from input_pipeline.records.example import encode_example

PAPER = Path(__file__).resolve().parents[2] / "experiments" / "paper"
EXPERIMENTS = sorted(PAPER.glob("table*.py"))
ROWS = {1: 4, 3: 6, 4: 7, 5: 4, 6: 2, 7: 4, 8: 4, 9: 4, 10: 4}
DATASETS = {module.DATASET.name: module.DATASET for module in (cityscapes, coco, vistas, voc)}
CROP = 33


def load(path):
    """(docstring, config) of an experiment's file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.__doc__, module.get_config()


@pytest.fixture(scope="module")
def record_folders(tmp_path_factory):
    """dict dataset name -> folder of records of two images, with a stuff region and two things."""
    folders = {}
    for name, dataset in DATASETS.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / "dataset.json").write_text(dataset.to_json())
        split = "train_aug" if name == "voc" else "train"
        shard = folder / f"{split}-00000-of-00001.tfrecord"
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for index in range(2):
                sample = made_up_sample(dataset, index)
                writer.write(encode_example(sample, dataset))
        (folder / f"{split}.json").write_text("{}")
        folders[name] = str(folder)
    return folders


def made_up_sample(dataset, index):
    rng = np.random.default_rng(index)
    semantic = np.full((48, 64), dataset.stuff_classes[0], np.int32)
    instance = np.zeros_like(semantic)
    for number, (y, x) in enumerate(((4, 6), (20, 30)), start=1):
        semantic[y : y + 20, x : x + 26] = dataset.thing_classes[-number]
        instance[y : y + 20, x : x + 26] = number
    return {
        "image": rng.integers(0, 256, (48, 64, 3), np.uint8),
        "semantic": semantic,
        "instance": instance,
        "crowd": np.zeros(semantic.shape, bool),
        "image_id": str(index),
    }


def shrink(config, folders):
    """Small images, two at a time; the network stays as it is."""
    config.data.records = folders[config.data.dataset]
    config.data.crop_size = (CROP, CROP)
    config.data.longer_side = min(config.data.longer_side, 64)
    config.train.batch_size = 2


def table_and_row(path):
    """(4, 5) of table04_5_s2d.py."""
    return tuple(map(int, re.match(r"table(\d+)_(\d+)_", path.name).groups()))


def test_there_is_a_file_for_every_row():
    wanted = [(table, row + 1) for table, rows in ROWS.items() for row in range(rows)]
    assert [table_and_row(path) for path in EXPERIMENTS] == wanted


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_a_file_says_how_it_is_run_and_what_the_paper_got(path):
    text, config = load(path)
    table, row = table_and_row(path)
    assert re.match(rf"Tables? {table}( and \d+)?, row {row}: ", text)
    command = " ".join(text.replace("\\\n", " ").split())
    assert f"scripts/train.py --config=experiments/paper/{path.name}" in command
    assert re.search(rf"^Paper, Table {table} \(val\): PQ [\d.]+, PC [\d.]+", text, re.MULTILINE)
    assert re.search(r"^Measured: ", text, re.MULTILINE)
    check_config(config)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_a_row_starts_from_a_pretraining_of_its_backbone(path):
    text, config = load(path)
    start = re.search(r"initial_checkpoint=runs/(\w+)", text)[1]
    _, pretraining = load(path.with_name(f"{start}.py"))
    for key in ("backbone", "kernel_size"):
        assert pretraining.model[key] == config.model[key]


def same_network():
    """Paths of the experiments, grouped by network and loss-independent data."""
    groups = {}
    for path in EXPERIMENTS:
        _, config = load(path)
        network = (config.data.dataset, json.dumps(config.model.to_dict()))
        groups.setdefault(network, []).append(path)
    return list(groups.values())


@pytest.fixture(scope="module")
def two_batches(record_folders):
    """Function of a config that gives its first two batches.

    Equal ones are made once, and so are equal backbones.
    """
    made = {}

    def batches(config):
        key = json.dumps([config.data.to_dict(), config.train.small_instance_weight])
        if key not in made:
            made[key] = list(make_dataset(config, "train").take(2))
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "build_backbone", functools.cache(model.build_backbone))
        yield batches


@pytest.mark.slow
@pytest.mark.parametrize("paths", same_network(), ids=lambda paths: paths[0].stem)
def test_a_row_trains_for_two_steps(paths, record_folders, two_batches):
    network = None
    for path in paths:
        config = load(path)[1]
        shrink(config, record_folders)
        dataset = open_source(config, config.data.train_split).dataset
        assert dataset == DATASETS[config.data.dataset]
        network = network or model.build_model(config.model, dataset)
        trainer = Trainer(network, config)
        trainer.compile(build_optimizer(config), run_eagerly=True)
        bias = network.get_layer("semantic_logits_conv").bias
        for images, targets in two_batches(config):
            before = bias.numpy()
            values = trainer.train_step((images, targets))
            assert np.isfinite(values["loss"]) and values["loss"] > 0
            assert np.any(bias.numpy() != before)
