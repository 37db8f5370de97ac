"""Pretraining on classified images, from which a DeeperLab starts."""

import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import build_model
from deeperlab_tf.backbones.checkpoint_file import CheckpointFile
from deeperlab_tf.backbones.classifier import accuracy, build_classifier, classification_loss
from deeperlab_tf.backbones.complexity import count_parameters
from deeperlab_tf.backbones.initial_checkpoint import find_backbone, load_initial_checkpoint
from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import Category, Dataset
from input_pipeline.imagenet import make_dataset, naming_broken_images
from tests.programs import run_program

TINY = (
    "--config.data.crop_size=(33,33)",
    "--config.eval.image_size=(33,33)",
    "--config.model.width=0.1",
    "--config.train.batch_size=2",
    "--config.pretrain.num_classes=3",
    "--config.train.log_every=1",
)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """Folders of three classes, each of one colour."""
    root = tmp_path_factory.mktemp("imagenet")
    for split in ("train", "val"):
        for label in range(3):
            folder = root / split / f"n{label:08d}"
            folder.mkdir(parents=True)
            for index in range(2):
                image = np.full((40, 50, 3), 30 + 80 * label + 10 * index, np.uint8)
                (folder / f"{index}.JPEG").write_bytes(tf.io.encode_jpeg(image).numpy())
    return root


def pretrain(*flags):
    return run_program("pretrain.py", *flags)


@pytest.mark.slow
@pytest.mark.both_stacks
def test_a_segmentation_starts_from_a_pretraining(imagenet, tmp_path):
    run = tmp_path / "run"
    flags = (
        "--config=experiments/paper/imagenet_mnv2_3x3.py",
        f"--workdir={run}",
        f"--config.data.root={imagenet}",
        *TINY,
    )
    result = pretrain(*flags, "--config.train.steps=3")
    assert result.returncode == 0, result.stderr
    metrics = json.loads((run / "evaluation" / "metrics.json").read_text())
    assert metrics["num_images"] == 6 and 0 <= metrics["top1"] <= metrics["top5"] == 1

    config = default_config()
    config.model.update(width=0.1, kernel_size=3)
    config.train.initial_checkpoint = str(run)
    network = build_model(config.model, Dataset("toy", (Category("sky", False, (0, 0, 0), 0),)))
    load_initial_checkpoint(network, config.train)
    file = CheckpointFile(str(run))
    for variable in find_backbone(network).variables:
        np.testing.assert_array_equal(
            variable, file.read(file.keys_by_name()[variable.name.split(":")[0]])
        )


def test_a_wrong_number_of_classes_is_one_sentence_and_leaves_nothing(imagenet, tmp_path):
    flags = ("--config=experiments/paper/imagenet_mnv2_3x3.py", f"--config.data.root={imagenet}")
    result = pretrain(*flags, f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "has 3 folders of classes but config.pretrain.num_classes is 1000" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, data", [("n00000001", b"\xff\xd8\xff\xe0 cut off"), ("n00000002", b"no image")]
)
def test_a_broken_image_is_named(imagenet, tmp_path, name, data):
    root = shutil.copytree(imagenet, tmp_path / "imagenet")
    broken = root / "train" / name / "1.JPEG"
    broken.write_bytes(data)
    config = default_config()
    config.data.update(root=str(root), crop_size=(33, 33))
    config.pretrain.num_classes = 3
    message = re.escape(f"image {broken} is broken")
    with pytest.raises(UserError, match=message), naming_broken_images(config):
        list(make_dataset(config, "train").take(3))


def test_the_classifier_has_the_published_number_of_parameters():
    config = default_config()
    config.model.kernel_size = 3
    assert count_parameters(build_classifier(config)) == 3_504_872  # MobileNetV2 with 1000 classes


def test_label_smoothing_and_accuracies_are_as_defined():
    logits = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    labels = np.array([0, 3, 6, 2], np.int32)
    config = default_config()
    total, parts = classification_loss(tf.constant(logits), {"label": tf.constant(labels)}, config)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    wanted = np.full((4, 7), config.pretrain.label_smoothing / 7)
    wanted[np.arange(4), labels] += 1 - config.pretrain.label_smoothing
    np.testing.assert_allclose(total, -(wanted * log_p).sum(axis=1), rtol=1e-5)
    rank = (logits > logits[np.arange(4), labels][:, None]).sum(axis=1)
    np.testing.assert_array_equal(parts["top1"], rank < 1)
    np.testing.assert_array_equal(
        accuracy(tf.constant(logits), tf.constant(labels))["top5"], rank < 5
    )
