"""Writes a dataset of any kind as a folder of masks, or in COCO's panoptic format.

python scripts/convert_dataset.py --dataset=coco_instances --root=DATA --output=CONVERTED
python scripts/convert_dataset.py --dataset=yolo --root=DATA --to=coco --output=CONVERTED

Photos are copied as they are. What is ignored, crowds and overlaps come out as a training sees
them. Where images cannot be read, all of them are named and nothing is written. The others'
formats: Datumaro writes many as COCO (docs/formats.md).
"""

from __future__ import annotations

from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.config import check_config, default_config
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.files.reports import check_absent
from input_pipeline.convert import FORMATS, convert
from input_pipeline.datasets import NAMES

cli.define_data(NAMES, default=None)
SPLITS = flags.DEFINE_list("splits", ["train", "val"], "Which splits to write.")
TO = flags.DEFINE_enum("to", "folder", sorted(FORMATS), "Format to write.")
OUTPUT = flags.DEFINE_string("output", None, "Folder to make.")


def main() -> None:
    check_absent(OUTPUT.value)
    config = check_config(cli.set_data(default_config()))
    with atomic_path(OUTPUT.value) as folder:
        counts = convert(config, SPLITS.value, TO.value, folder)
    listed = ", ".join(f"{count} of {split}" for split, count in counts.items())
    print(f"wrote {listed} into {OUTPUT.value}; read it with --config.data.dataset={TO.value}")


if __name__ == "__main__":
    cli.run(main, required=["dataset", "output"])
