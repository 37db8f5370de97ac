"""Trains a backbone to classify ImageNet-1K; run again with the same --workdir, it resumes.

python scripts/pretrain.py --config=experiments/paper/imagenet_mnv2_5x5.py \\
    --workdir=runs/imagenet --config.data.root=IMAGENET
python scripts/train.py ... --config.train.initial_checkpoint=runs/imagenet

IMAGENET holds train/ and val/ with a folder per class; TFRecords are given by
--config.data.records=DIR. At the end, top-1 and top-5 accuracy on the validation split are in
WORKDIR/evaluation/metrics.json. Devices: as scripts/train.py.
"""

from __future__ import annotations

import functools

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.backbones.classifier import (
    LOSSES,
    build_classifier,
    classification_loss,
    evaluate_classifier,
)
from deeperlab_tf.compat import keras
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.training.cluster import restart_where_host_is_lost
from deeperlab_tf.training.loop import RunOptions, Task, fit
from deeperlab_tf.training.strategy import is_chief
from input_pipeline import imagenet

CONFIG = cli.define_config()
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run: config, checkpoints, TensorBoard."
)
ACCEPT_CHANGES = flags.DEFINE_bool(
    "accept_changes", False, "Resume although the config differs from the run's own."
)
DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "Repeatable to the bit on one machine; slower."
)
PROFILE = flags.DEFINE_bool("profile", False, "Record a profile of steps 10 to 20 for TensorBoard.")
cli.define_strategy()


def main() -> None:
    config = cli.read_config(CONFIG)
    strategy = cli.strategy_from_flags()
    held_out = imagenet.open_source(config, "val")

    def evaluate(network: keras.Model) -> dict:
        return evaluate_classifier(network, imagenet.make_dataset(config, "val"))

    task = Task(
        held_out.dataset,
        functools.partial(imagenet.make_dataset, config, "train"),
        functools.partial(build_classifier, config),
        classification_loss,
        LOSSES,
    )
    options = RunOptions(
        strategy=strategy,
        evaluate=evaluate,
        accept_changes=ACCEPT_CHANGES.value,
        deterministic=DETERMINISTIC.value,
        profile=PROFILE.value,
    )
    with imagenet.naming_broken_images(config):
        run = functools.partial(fit, config, WORKDIR.value, task, options)
        network = restart_where_host_is_lost(strategy, run)
        result = evaluate(network)
    if is_chief(strategy):
        write_json(storage.join(WORKDIR.value, "evaluation", "metrics.json"), result)
    top1, top5, count = result["top1"], result["top5"], result["num_images"]
    print(f"top-1 {top1:.4f}  top-5 {top5:.4f}  on {count} images")


if __name__ == "__main__":
    cli.run(main, required=("config", "workdir"))
