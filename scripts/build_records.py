"""Turns a dataset's files into sharded TFRecords. Interrupted, it goes on where it was when run
again; if the data have changed since, it says which files, and makes anew with --rebuild.

python scripts/build_records.py --dataset=cityscapes --root=DATA --split=train --output=RECORDS

Train on them with --config.data.records=RECORDS. With --runner, Apache Beam writes the shards.
"""

from __future__ import annotations

import os

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.config import default_config
from input_pipeline.datasets import NAMES
from input_pipeline.records.write import write_records

cli.define_data(NAMES, default=None)
SPLIT = flags.DEFINE_string("split", None, "train, val, …")
OUTPUT = flags.DEFINE_string("output", None, "Folder for the records.")
SHARDS = flags.DEFINE_integer(
    "shards", 10, "Number of files; several hundred MB each read well.", lower_bound=1
)
PROCESSES = flags.DEFINE_integer(
    "processes", os.cpu_count(), "How many work at once.", lower_bound=1
)
REBUILD = flags.DEFINE_bool(
    "rebuild", False, "Remove the split's records and make them anew from the data as they are now."
)
cli.define_runner()


def main() -> None:
    config = cli.set_data(default_config())
    manifest = write_records(
        config,
        SPLIT.value,
        OUTPUT.value,
        SHARDS.value,
        PROCESSES.value,
        REBUILD.value,
        run=cli.runner(OUTPUT.value),
    )
    print(f"{manifest['images']} images in {len(manifest['shards'])} shards in {OUTPUT.value}")


if __name__ == "__main__":
    cli.run(main, required=["dataset", "split", "output"])
