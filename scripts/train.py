"""Trains DeeperLab; run again with the same --workdir, it resumes.

python scripts/train.py --config=experiments/shapes.py --workdir=runs/shapes
python scripts/train.py --config=experiments/shapes.py --workdir=runs/short --config.train.steps=50
"""

import functools

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.training.loop import train
from input_pipeline import make_dataset, open_source

CONFIG = cli.define_config()
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run: config, checkpoints, TensorBoard.")
ACCEPT_CHANGES = flags.DEFINE_bool("accept_changes", False, "Resume although the config differs from the run's own.")
DETERMINISTIC = flags.DEFINE_bool("deterministic", False, "Repeatable to the bit on one machine; slower.")


def main():
    config = cli.read_config(CONFIG)
    held_out = open_source(config, "val")
    train(
        config,
        WORKDIR.value,
        held_out.dataset,
        functools.partial(make_dataset, config, "train"),
        panel_samples=[held_out[index] for index in range(min(config.train.num_panels, len(held_out)))],
        accept_changes=ACCEPT_CHANGES.value,
        deterministic=DETERMINISTIC.value,
    )


if __name__ == "__main__":
    cli.run(main, required=("config", "workdir"))
