"""Tells whether a dataset can be trained on, what is in it, and draws a sheet of its labels and
targets.

python scripts/check_dataset.py --dataset=folder --root=DATA --split=train --output=CHECK
python scripts/check_dataset.py --records=RECORDS --split=train --output=CHECK

Exit status 0: it can be trained on; 1: it cannot, and the errors say why.
"""

from deeperlab_tf import cli  # isort: skip - first, for it quiets TensorFlow's start-up banners

import functools
import os
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from deeperlab_tf import visualize
from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.prediction.parsing import Parsing
from input_pipeline import Reading, make_targets, open_source, preprocess
from input_pipeline.checks import check_source
from input_pipeline.datasets import NAMES
from input_pipeline.records.files import skipped_records

flags.DEFINE_enum("dataset", "folder", NAMES, "Which dataset, that is: how its files are laid out.")
flags.DEFINE_string("root", "", "Folder of the dataset as downloaded and unpacked.")
flags.DEFINE_string(
    "classes", "", "Description of a folder dataset; default: classes.yaml or .json in the root."
)
flags.DEFINE_string("records", "", "Folder of records, to check these instead of raw files.")
flags.DEFINE_string("split", "train", "train, val, …")
flags.DEFINE_string("output", None, "Folder to make for report.json and sheet.png.")
flags.DEFINE_integer(
    "limit", 0, "Look at this many images only, evenly spread; 0: at all.", lower_bound=0
)
flags.DEFINE_integer("pictures", 8, "Images on the sheet.", lower_bound=1)
flags.DEFINE_bool("skip_corrupt", False, "Corrupt records are counted and are no error.")
FLAGS = flags.FLAGS

SHOWN = 10  # errors and warnings printed; report.json has them all


def main():
    if os.path.exists(FLAGS.output):
        raise UserError(f"{FLAGS.output} exists already; remove it or choose another --output.")
    config = default_config()
    config.data.dataset, config.data.root, config.data.classes = (
        FLAGS.dataset,
        FLAGS.root,
        FLAGS.classes,
    )
    config.data.records = FLAGS.records
    source = open_source(config, FLAGS.split, Reading(FLAGS.skip_corrupt))
    report = check_source(source, config.fusion.max_instances, FLAGS.limit, FLAGS.skip_corrupt)
    if skipped_records():
        report["warnings"].append(skipped_records())
    write_json(os.path.join(FLAGS.output, "report.json"), report)
    sheet = draw_sheet(source, config, FLAGS.pictures)
    if sheet is not None:
        visualize.write_image(os.path.join(FLAGS.output, "sheet.png"), sheet)
    print_report(report)
    sys.exit(1 if report["errors"] else 0)


def print_report(report):
    print(f"\n{'class':<28}{'kind':<7}{'images':>9}{'segments':>10}{'pixels':>15}")
    for entry in report["classes"]:
        kind = "thing" if entry["thing"] else "stuff"
        print(
            f"{entry['name'][:27]:<28}{kind:<7}{entry['images']:>9}{entry['segments']:>10}{entry['pixels']:>15}"
        )
    per_image, sizes = report["instances_per_image"], list(report["sizes"].items())
    print(
        f"\n{report['images']} images, {len(sizes)} sizes, most often "
        + ", ".join(f"{s} ({n})" for s, n in sizes[:3])
    )
    print(
        f"instances an image: {per_image['mean']:.1f} on average, at most {per_image['most']}, "
        f"too many to predict in {per_image['exceeding']} images"
    )
    if report["corrupt"]:
        print(f"corrupt records: {report['corrupt']}")
    for kind in ("warnings", "errors"):
        print(
            f"{len(report[kind])} {kind}" + "".join(f"\n  {line}" for line in report[kind][:SHOWN])
        )
    print(f"{'cannot' if report['errors'] else 'can'} be trained on; more in {FLAGS.output}")


def draw_sheet(source, config, count):
    """Rows of image, labels, keypoint disks and long-range offsets to the centre; None if no image
    can be read.
    """
    rows = []
    for index in np.linspace(0, len(source) - 1, min(count, len(source))).astype(int).tolist():
        try:
            rows.append(draw_row(source[index], source.dataset, config))
        except UserError:  # already in the report
            continue
    if not rows:
        return None
    legend = functools.partial(visualize.heatmap_legend, keypoint_graph(config.data.keypoint_graph))
    return visualize.contact_sheet(
        rows, ["image", "labels", "keypoints", "offsets to the centre"], footer=legend
    )


def draw_row(sample, dataset, config):
    fitted = preprocess.fit(
        {name: tf.constant(sample[name]) for name in ("image", *preprocess.LABELS)}, config
    )
    height, width = fitted["content_size"].numpy()
    targets = make_targets(fitted["semantic"], fitted["instance"], fitted["crowd"], config)
    image, semantic, instance = (
        fitted[name].numpy()[:height, :width] for name in ("image", "semantic", "instance")
    )
    h, w = (height - 1) // 4 + 1, (width - 1) // 4 + 1
    # The centre of mass is the last keypoint.
    to_center = targets["long_offsets"].numpy()[:h, :w, -2:]
    return [
        image,
        Parsing.from_maps(semantic, instance, dataset).overlay(image),
        visualize.heatmap(targets["keypoint_heatmap"].numpy()[:h, :w], image),
        visualize.offsets(to_center),
    ]


if __name__ == "__main__":
    cli.run(main, required=["output"])
