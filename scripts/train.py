"""Trains DeeperLab; run again with the same --workdir, it resumes.

python scripts/train.py --config=experiments/shapes.py --workdir=runs/shapes
python scripts/train.py --config=experiments/shapes.py --workdir=runs/short --config.train.steps=50

On several GPUs, several hosts (TF_CONFIG or Slurm) or a TPU: see --strategy, --tpu and
docs/training.md.
"""

from __future__ import annotations

import functools

from absl import flags, logging

from deeperlab_tf import cli
from deeperlab_tf.evaluation.distributed import make_evaluation
from deeperlab_tf.evaluation.panels import make_panels
from deeperlab_tf.training.cluster import restart_where_host_is_lost
from deeperlab_tf.training.loop import RunOptions
from deeperlab_tf.training.train import train
from input_pipeline import Reading, make_dataset
from input_pipeline.records.corrupt import naming_corrupt_records
from input_pipeline.records.files import skipped_records
from input_pipeline.sources import check_trainable

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
DATA_SERVICE = flags.DEFINE_string(
    "data_service",
    "",
    "Dispatcher of a tf.data service, grpc://host:port, whose workers prepare the batches.",
)
SKIP_CORRUPT = flags.DEFINE_bool(
    "skip_corrupt", False, "Leave out corrupt records, naming and counting them."
)
cli.define_strategy()


def main() -> None:
    config = cli.read_config(CONFIG)
    strategy = cli.strategy_from_flags()
    reading = Reading(SKIP_CORRUPT.value, DATA_SERVICE.value)
    held_out = check_trainable(config, reading)
    with naming_corrupt_records(config.data.records, config.data.train_split):
        num_panels = min(config.train.num_panels, len(held_out))
        shown = [held_out[index] for index in range(num_panels)]
        options = RunOptions(
            strategy=strategy,
            evaluate=make_evaluation(held_out, config, strategy),
            make_callbacks=make_panels(held_out.dataset, shown),
            accept_changes=ACCEPT_CHANGES.value,
            deterministic=DETERMINISTIC.value,
            profile=PROFILE.value,
        )
        run = functools.partial(
            train,
            config,
            WORKDIR.value,
            held_out.dataset,
            functools.partial(make_dataset, config, "train", reading=reading),
            options,
        )
        restart_where_host_is_lost(strategy, run)
    if skipped_records():
        logging.warning(skipped_records())


if __name__ == "__main__":
    cli.run(main, required=("config", "workdir"))
