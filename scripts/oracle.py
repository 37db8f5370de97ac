"""What perfect heads would give: the ceiling of the method on labels, or which of a model's heads
is to blame for its errors.

python scripts/oracle.py --gt_json=panoptic_val.json --gt_dir=panoptic_val --image_size=641 \\
    --output=oracle.json
python scripts/oracle.py --dataset=shapes --image_size=129 --keypoint_radius=8 --output=oracle.json
python scripts/oracle.py --dataset=folder --root=DATA --classes=FILE --split=val --scale=2 \\
    --output=oracle.json

The ceiling: labels -> targets -> perfect heads -> fusion -> PQ and PC. The file holds the metrics
of the fused parses (`fused`), those of the labels put on the stride-4 grid and back with no
keypoints involved (`ceiling`), their ratio, and every segment that was lost, with the reason
(`lost`).

python scripts/oracle.py --model=runs/street --split=val --num_images=60 --output=blame.json
python scripts/oracle.py --model=runs/street --replace=semantic --replace=semantic+long \\
    --output=blame.json

A model: the same parses with true semantics and predicted keypoints, with predicted semantics and
true keypoints, and with each head replaced by itself. The file holds a row of metrics for each.
"""

from __future__ import annotations

from deeperlab_tf import cli  # isort: skip - first, for it quiets TensorFlow's start-up banners

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from absl import flags
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.lost import lost_segments
from deeperlab_tf.evaluation.oracle import (
    SEMANTIC_BLUR,
    Heads,
    grid_ceiling,
    perfect_heads,
    true_heads,
)
from deeperlab_tf.evaluation.replaced_heads import (
    REPLACEMENTS,
    Labels,
    heads_of,
    score_replacements,
)
from deeperlab_tf.evaluation.samples import Chosen, Source, spread, with_classes_of
from deeperlab_tf.evaluation.sweep import best_of, row_of, table
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.reports import check_report
from deeperlab_tf.fusion import fuse
from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.metrics.parsing_metrics import ParsingMetrics
from deeperlab_tf.pixels.image_size import padded_side
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.schema import IGNORE_LABEL, Dataset
from input_pipeline.datasets import NAMES
from input_pipeline.sources import open_source
from input_pipeline.targets import make_targets

cli.define_model("A run, an export or the name of a shipped model, whose heads are replaced.")
REPLACE = flags.DEFINE_multi_string(
    "replace",
    list(REPLACEMENTS),
    f"With --model: the heads that true ones replace, {' | '.join(REPLACEMENTS)}, joined by +.",
)
NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 0, "Take only so many images, evenly spread; 0: all.", lower_bound=0
)
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


class Images(NamedTuple):
    """The labelled images that the flags name.

    Attributes:
      dataset: their classes.
      ids: id of each image.
      read: function of an image's position in `ids` that gives its `Labels`, resized and padded.
    """

    dataset: Dataset
    ids: list
    read: Callable[[int], Labels]


def main() -> None:
    if cli.model():
        check_report(OUTPUT.value, {"rows"})
        _blame_heads()
    else:
        check_report(OUTPUT.value, {"fused", "ceiling"})
        _measure_ceiling()


# === A model, some of its heads replaced ===


def open_model() -> tuple[Predictor, Source]:
    """The model that --model and --config.KEY=VALUE name, and the images that other flags do."""
    predictor = Predictor(cli.required_model(), cli.overrides())
    source = with_classes_of(predictor.dataset, open_source(predictor.config, SPLIT.value))
    return predictor, Chosen(source, _numbers(len(source)))


def origin(source: Source) -> dict[str, Any]:
    """What a result says of the model and the images."""
    return dict(
        model=cli.model(),
        overrides=cli.overrides(),
        split=SPLIT.value,
        num_images=len(source),
    )


def _blame_heads() -> None:
    replacements = {"nothing": ()}
    replacements.update({name: heads_of(name) for name in REPLACE.value})
    predictor, source = open_model()
    config = predictor.config

    def true(labels: Labels, predicted: Heads) -> Heads:
        return true_heads(_targets(labels, config), predicted, BLUR.value)

    results = score_replacements(predictor, source, true, replacements)
    rows = [row_of(name, result) for name, result in results.items()]
    write_json(OUTPUT.value, dict(origin(source), rows=rows))
    print(f"Heads replaced by true ones, {len(source)} images:")
    print(f"{table(rows, best_of(rows, 'pq'))}\n  wrote {OUTPUT.value}")


def _targets(labels: Labels, config: ConfigDict) -> dict[str, np.ndarray]:
    """Arrays of `make_targets`."""
    tensors = make_targets(*(tf.constant(values) for values in labels), config)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _numbers(count: int) -> Sequence[int]:
    """Those of so many images that --every and --num_images take."""
    return spread(range(0, count, EVERY.value), NUM_IMAGES.value)


# === The ceiling of the method ===


def _measure_ceiling() -> None:
    config = oracle_config()
    images = open_labels(config)
    parse_heads = parser(images.dataset, config.fusion)
    fused, ceiling = _new_metrics(images.dataset), _new_metrics(images.dataset)
    lost = []
    for number, image_id in enumerate(tqdm(images.ids, unit="image")):
        labels = images.read(number)
        parse = _perfect_parse(labels, images.dataset, config, parse_heads)
        on_grid = grid_ceiling(labels.semantic, labels.instance, BLUR.value)

        truth = (labels.semantic, labels.instance)
        fused.update(*truth, parse["semantic"], parse["instance"], labels.crowd)
        ceiling.update(*truth, *on_grid, labels.crowd)
        for segment in lost_segments(*labels, parse, on_grid, config.fusion):
            segment["class"] = images.dataset.class_names[segment["class"]]
            lost.append({"image_id": image_id, **segment})

    results = {"fused": fused.result(), "ceiling": ceiling.result()}
    ratio = results["fused"]["pq"] / results["ceiling"]["pq"]
    write_json(OUTPUT.value, {**results, "ratio": ratio, "lost": lost})
    for name, result in results.items():
        quality = f"PQ {result['pq']:.4f}  things {result['pq_things']:.4f}"
        print(f"{name:8} {quality}  PC {result['pc']:.4f}")
    print(f"ratio    {ratio:.4f}; {len(lost)} segments lost\n  wrote {OUTPUT.value}")


def _new_metrics(dataset: Dataset) -> ParsingMetrics:
    return ParsingMetrics(dataset.num_classes, dataset.thing_classes)


def _perfect_parse(
    labels: Labels, dataset: Dataset, config: ConfigDict, parse_heads: Callable
) -> dict[str, np.ndarray]:
    """What `fuse` makes of the perfect heads of one image, without batch dimension."""
    targets = _targets(labels, config)
    heads = perfect_heads(targets, dataset.num_classes, blur=BLUR.value)
    parse = parse_heads(heads, *labels.semantic.shape)
    return {name: tensor.numpy()[0] for name, tensor in parse.items()}


def oracle_config() -> ConfigDict:
    """The default config with the flags' dataset, keypoint radius and graph."""
    if cli.overrides():
        raise UserError("--config.KEY=VALUE changes a model's config; give --model, too.")
    config = default_config()
    config.data.root, config.data.classes = ROOT.value, CLASSES.value
    # Fusion's are tied to these.
    config.data.keypoint_radius, config.data.keypoint_graph = RADIUS.value, GRAPH.value
    if DATASET.value:
        config.data.dataset = DATASET.value
    return config


def open_labels(config: ConfigDict) -> Images:
    """The images that the flags name."""
    if DATASET.value:
        return _images_of_source(config)
    if not (GT_JSON.value and GT_DIR.value):
        raise UserError(
            "no labels are named; give --gt_json and --gt_dir, or --dataset, or --model."
        )

    files = PanopticFiles(GT_JSON.value, GT_DIR.value)
    ids = [files.image_ids[number] for number in _numbers(len(files.image_ids))]

    def read(number: int) -> Labels:
        return fit(Labels(*files.read_labels(ids[number])))

    return Images(files.dataset, ids, read)


def _images_of_source(config: ConfigDict) -> Images:
    source = open_source(config, SPLIT.value)
    numbers = _numbers(len(source))

    def read(number: int) -> Labels:
        sample = source[numbers[number]]
        return fit(Labels(sample["semantic"], sample["instance"], sample["crowd"]))

    return Images(source.dataset, [f"{SPLIT.value} {number}" for number in numbers], read)


def parser(dataset: Dataset, fusion: ConfigDict) -> Callable[[dict, int, int], dict[str, Any]]:
    """`fuse` as one graph for images of all sizes: (heads, H, W) -> parse."""
    channels = head_channels(keypoint_graph(fusion.keypoint_graph), dataset.num_classes)
    heads = {name: tf.TensorSpec([1, None, None, count]) for name, count in channels.items()}
    side = tf.TensorSpec([], tf.int32)

    @tf.function(input_signature=[heads, side, side])
    def parse(heads, height, width):
        return fuse(heads, (height, width), dataset.thing_classes, fusion)

    return lambda heads, height, width: parse(heads, tf.constant(height), tf.constant(width))


def fit(labels: Labels) -> Labels:
    """Labels resized (nearest) by --scale or to the longer side --image_size.

    They are padded with ignore to sides 16k + 1.
    """
    shape = labels.semantic.shape
    factor = SCALE.value or IMAGE_SIZE.value / max(shape)
    height, width = (max(1, round(side * factor)) for side in shape)
    padding = [(0, int(padded_side(side)) - side) for side in (height, width)]

    def resize(values: np.ndarray, fill: int) -> np.ndarray:
        # OpenCV resizes no int32.
        values = values.astype(np.float32)
        resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.pad(resized, padding, constant_values=fill).astype(np.int32)

    return Labels(
        resize(labels.semantic, IGNORE_LABEL),
        resize(labels.instance, 0),
        resize(labels.crowd, 0) > 0,
    )


if __name__ == "__main__":
    cli.run(main, required=("output",))
