"""Turns a dataset's files into sharded TFRecords. Interrupted, it goes on where it was when run
again.

python scripts/build_records.py --dataset=cityscapes --root=DATA --split=train --output=RECORDS

Train on them with --config.data.records=RECORDS.
"""

import os

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.config import default_config
from input_pipeline.datasets import NAMES
from input_pipeline.records.write import write_records

flags.DEFINE_enum("dataset", None, NAMES, "Which dataset, that is: how its files are laid out.")
flags.DEFINE_string("root", "", "Folder of the dataset as downloaded and unpacked.")
flags.DEFINE_string(
    "classes", "", "Description of a folder dataset; default: classes.yaml or .json in the root."
)
flags.DEFINE_string("split", None, "train, val, …")
flags.DEFINE_string("output", None, "Folder for the records.")
flags.DEFINE_integer(
    "shards", 10, "Number of files; several hundred MB each read well.", lower_bound=1
)
flags.DEFINE_integer("processes", os.cpu_count(), "How many work at once.", lower_bound=1)
FLAGS = flags.FLAGS


def main():
    config = default_config()
    config.data.dataset = FLAGS.dataset
    config.data.root = FLAGS.root
    config.data.classes = FLAGS.classes
    manifest = write_records(config, FLAGS.split, FLAGS.output, FLAGS.shards, FLAGS.processes)
    print(f"{manifest['images']} images in {len(manifest['shards'])} shards in {FLAGS.output}")


if __name__ == "__main__":
    cli.run(main, required=["dataset", "split", "output"])
