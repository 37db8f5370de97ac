"""The ceiling of the method on a dataset: labels -> targets -> perfect heads -> fusion -> PQ and
PC.

python scripts/oracle.py --gt_json=panoptic_val.json --gt_dir=panoptic_val --image_size=641
--output=oracle.json python scripts/oracle.py --dataset=shapes --image_size=129 --keypoint_radius=8
--output=oracle.json python scripts/oracle.py --dataset=folder --root=DIR --classes=FILE --split=val
--scale=2 --output=oracle.json

The file holds the metrics of the fused parses (`fused`), those of the labels put on the stride-4
grid and back with no keypoints involved (`ceiling`), their ratio, and every segment that was lost,
with the reason (`lost`).
"""

import deeperlab_tf  # noqa: F401 isort: skip - first, for it quiets TensorFlow's start-up banners

import cv2
import numpy as np
import tensorflow as tf
from absl import flags
from tqdm import tqdm

from deeperlab_tf import cli
from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.lost import lost_segments
from deeperlab_tf.evaluation.oracle import SEMANTIC_BLUR, grid_ceiling, perfect_heads
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.fusion import fuse
from deeperlab_tf.heads import head_channels
from deeperlab_tf.image_size import padded_side
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.metrics.parsing_metrics import ParsingMetrics
from deeperlab_tf.schema import IGNORE_LABEL
from input_pipeline.datasets import NAMES
from input_pipeline.sources import open_source
from input_pipeline.targets import make_targets

GT_JSON = flags.DEFINE_string("gt_json", None, "Labels: JSON in the COCO panoptic format.")
GT_DIR = flags.DEFINE_string("gt_dir", None, "Labels: folder of its PNGs.")
DATASET = flags.DEFINE_enum(
    "dataset", None, NAMES, "Instead of --gt_json and --gt_dir: a dataset the pipeline reads."
)
ROOT = flags.DEFINE_string("root", "", "Folder of the dataset.")
CLASSES = flags.DEFINE_string(
    "classes", "", "Description of a folder dataset, see config.data.classes."
)
SPLIT = flags.DEFINE_string("split", "val", "Split of the dataset.")
EVERY = flags.DEFINE_integer("every", 1, "Take only every n-th image.", lower_bound=1)
SCALE = flags.DEFINE_float(
    "scale", 0, "Factor by which labels are resized, instead of --image_size.", lower_bound=0
)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 1441, "Longer side the labels are resized to, pixels.", lower_bound=17
)
RADIUS = flags.DEFINE_float(
    "keypoint_radius", 25.0, "R, pixels of the resized labels.", lower_bound=1
)
GRAPH = flags.DEFINE_enum(
    "keypoint_graph", "star", ["star", "rectangle"], "Keypoint relation graph."
)
BLUR = flags.DEFINE_float(
    "semantic_blur", SEMANTIC_BLUR, "σ of the semantic logits, pixels; 0: hard.", lower_bound=0
)
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")


def main():
    config = oracle_config()
    dataset, image_ids, read = open_labels(config)
    parse_heads = parser(dataset, config.fusion)
    fused, ceiling = (ParsingMetrics(dataset.num_classes, dataset.thing_classes) for _ in range(2))
    lost = []
    for number, image_id in enumerate(tqdm(image_ids, unit="image")):
        semantic, instance, crowd = read(number)
        targets = make_targets(
            *(tf.constant(labels) for labels in (semantic, instance, crowd)), config
        )
        targets = {name: value.numpy() for name, value in targets.items()}
        heads = perfect_heads(targets, dataset.num_classes, blur=BLUR.value)
        parse = {
            name: value.numpy()[0] for name, value in parse_heads(heads, *semantic.shape).items()
        }
        fused.update(semantic, instance, parse["semantic"], parse["instance"], crowd)
        on_grid = grid_ceiling(semantic, instance, BLUR.value)
        ceiling.update(semantic, instance, *on_grid, crowd)
        for segment in lost_segments(semantic, instance, crowd, parse, on_grid, config.fusion):
            segment["class"] = dataset.class_names[segment["class"]]
            lost.append({"image_id": image_id, **segment})
    fused, ceiling = fused.result(), ceiling.result()
    ratio = fused["pq"] / ceiling["pq"]
    write_json(OUTPUT.value, {"fused": fused, "ceiling": ceiling, "ratio": ratio, "lost": lost})
    for name, result in (("fused", fused), ("ceiling", ceiling)):
        print(
            f"{name:8} PQ {result['pq']:.4f}  things {result['pq_things']:.4f}  PC {result['pc']:.4f}"
        )
    print(f"ratio    {ratio:.4f}; {len(lost)} segments lost\n  wrote {OUTPUT.value}")


def oracle_config():
    """The default config with the flags' dataset, keypoint radius and graph."""
    config = default_config()
    config.data.root, config.data.classes = ROOT.value, CLASSES.value
    # Fusion's are tied to these.
    config.data.keypoint_radius, config.data.keypoint_graph = RADIUS.value, GRAPH.value
    if DATASET.value:
        config.data.dataset = DATASET.value
    return config


def open_labels(config):
    """The labels that the flags name.

    Returns:
      the `Dataset`, the image ids, and a function of an image's number that gives its labels,
      resized and padded: semantic int32 [H, W] (255 = ignore), instance int32 [H, W], crowd bool
        [H, W].
    """
    if DATASET.value:
        source = open_source(config, SPLIT.value)
        numbers = range(0, len(source), EVERY.value)

        def read(number):
            sample = source[numbers[number]]
            return fit(sample["semantic"], sample["instance"], sample["crowd"])

        return source.dataset, [f"{SPLIT.value} {number}" for number in numbers], read
    if not (GT_JSON.value and GT_DIR.value):
        raise UserError("no labels are named; give --gt_json and --gt_dir, or --dataset.")
    files = PanopticFiles(GT_JSON.value, GT_DIR.value)
    image_ids = files.image_ids[:: EVERY.value]
    return files.dataset, image_ids, lambda number: fit(*read_labels(files, image_ids[number]))


def parser(dataset, config):
    """`fuse` as one graph for images of all sizes: (heads, H, W) -> parse."""
    heads = {
        name: tf.TensorSpec([1, None, None, channels])
        for name, channels in head_channels(
            keypoint_graph(config.keypoint_graph), dataset.num_classes
        ).items()
    }
    side = tf.TensorSpec([], tf.int32)
    function = tf.function(
        lambda heads, height, width: fuse(heads, (height, width), dataset.thing_classes, config),
        input_signature=[heads, side, side],
    )
    return lambda heads, height, width: function(heads, tf.constant(height), tf.constant(width))


def read_labels(files, image_id):
    """Labels of one image: semantic int32 [H, W] (255 = ignore), instance int32 [H, W], crowd bool
    [H, W].
    """
    ids, segments = files.read(image_id)
    index = np.searchsorted(segments["ids"], ids)  # void, and ids that the JSON lacks, come last
    known = np.append(segments["ids"], -1)
    index = np.where(known[index] == ids, index, len(segments["ids"]))
    semantic, crowd = segments["classes"][index], segments["crowd"][index] > 0
    is_thing = np.isin(segments["classes"], files.dataset.thing_classes) & (segments["crowd"] == 0)
    instance = (np.cumsum(is_thing) * is_thing)[index]
    return semantic.astype(np.int32), instance.astype(np.int32), crowd


def fit(semantic, instance, crowd):
    """Labels resized (nearest) by --scale or to the longer side --image_size, padded with ignore to
    sides 16k + 1.
    """
    factor = SCALE.value or IMAGE_SIZE.value / max(semantic.shape)
    height, width = (max(1, round(side * factor)) for side in semantic.shape)
    padding = [(0, int(padded_side(side)) - side) for side in (height, width)]

    def resize(labels, fill):
        resized = cv2.resize(
            labels.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST
        )
        return np.pad(resized, padding, constant_values=fill).astype(np.int32)

    return resize(semantic, IGNORE_LABEL), resize(instance, 0), resize(crowd, 0) > 0


if __name__ == "__main__":
    cli.run(main, required=("output",))
