"""The whole way: scenes → targets → training → fusion → metrics."""

import functools
import json

import pytest

from deeperlab_tf.config import default_config
from deeperlab_tf.metrics import PanopticQuality
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.training.train import train
from input_pipeline import make_dataset, open_source
from tests.programs import run_program


def memory_config():
    """Four scenes without augmentation, and a network just large enough to remember them."""
    config = default_config()
    config.data.shapes.update(image_size=(129, 129), num_train=4, max_things=4)
    config.data.update(crop_size=(129, 129), min_scale=1.0, max_scale=1.0, flip=False)
    config.eval.image_size = (129, 129)
    config.model.update(
        kernel_size=3,
        width=0.5,
        keypoint_radius=8.0,
        batch_norm_momentum=0.9,
        aspp_dropout=0.0,
        aspp_channels=32,
        low_level_channels=16,
        decoder_channels=32,
        decoder_kernel_size=3,
        head_kernel_size=3,
        semantic_head_channels=32,
        instance_head_channels=32,
    )
    config.fusion.detection.radius_pixels = 5.0
    config.train.loss_weights.update(middle=0.5, long=0.5)
    config.train.update(
        batch_size=4,
        steps=400,
        learning_rate=0.2,
        warmup_steps=30,
        clip_norm=5.0,
        hard_pixel_fraction=1.0,
        small_instance_weight=1.0,
        panels_every=400,
    )
    return config


@pytest.mark.slow
def test_a_tiny_model_memorises_four_scenes_and_every_program_agrees(tmp_path):
    config = memory_config()
    source = open_source(config, "train")
    run = tmp_path / "run"
    train(config, str(run), source.dataset, functools.partial(make_dataset, config, "train"))

    evaluation, export = tmp_path / "evaluation", tmp_path / "export"
    flags = (f"--workdir={run}", "--split=train", f"--output={evaluation}")
    program("evaluate.py", *flags)
    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert metrics["num_images"] == 4
    assert metrics["pq"] >= 0.9, metrics

    # The exported model gives the very parses that were scored.
    program("export.py", f"--workdir={run}", f"--output={export / '1'}")
    quality = PanopticQuality(source.dataset.num_classes, source.dataset.thing_classes)
    predict = Predictor(str(export))
    for index in range(len(source)):
        sample = source[index]
        parsing = predict(sample["image"])
        quality.update(sample["semantic"], sample["instance"], parsing.semantic, parsing.instance)
    assert quality.result()["pq"] == pytest.approx(metrics["pq"], abs=1e-6)


def program(name, *flags):
    """Runs a program of scripts/, which must end well."""
    result = run_program(name, *flags)
    assert result.returncode == 0, result.stderr
