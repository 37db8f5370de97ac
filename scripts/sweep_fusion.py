"""How the fusion's choices stand up to imperfect predictions: PQ of corrupted perfect heads, for
each choice.

python scripts/sweep_fusion.py --gt_json=panoptic_val.json --gt_dir=panoptic_val --image_size=641
--output=sweep.json

Takes the flags of scripts/oracle.py, for datasets as for files. The file holds one row per choice,
with the PQ under each kind of noise.
"""

from deeperlab_tf import cli  # isort: skip - first, for it quiets TensorFlow's start-up banners

import cv2
import numpy as np
import tensorflow as tf
from absl import flags
from tqdm import tqdm

# isort: split
from oracle import GRAPH, OUTPUT, RADIUS, open_labels, oracle_config, parser

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.oracle import perfect_heads
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.reports import check_report
from deeperlab_tf.metrics import PanopticQuality
from input_pipeline.targets import make_targets

SEEDS = flags.DEFINE_integer(
    "seeds", 1, "How often the noise is drawn for each image.", lower_bound=1
)
ONLY = flags.DEFINE_list("choices", None, "Only these choices; all, if not given.")

# Keys of config.fusion that differ from the defaults.
CHOICES = {
    "defaults": {},
    "offsets read at the point": {"refinement.keypoint_read": "point"},
    "no middle-range refinement": {"refinement.middle_steps": 0},
    "two middle-range refinements": {"refinement.middle_steps": 2},
    "no long-range refinement": {"refinement.long_range": False},
    "no long-range votes": {"voting.long_weight": 0.0},
    "w = 1": {"voting.long_weight": 1.0},
    "every long-range vote": {"voting.long_every": 1},
    "peak window 3": {"detection.peak_window_cells": 3},
    "peak threshold 0.05": {"peak_threshold": 0.05},
    "peak threshold 0.2": {"peak_threshold": 0.2},
    "no Expected-OKS": {"detection.rescore": "none"},
    "kappa 0.05": {"detection.oks_kappa": 0.05},
    "kappa 0.2": {"detection.oks_kappa": 0.2},
    "box NMS at 0.5": {"nms_iou": 0.5},
    "box NMS at 0.8": {"nms_iou": 0.8},
    "every pixel claimed": {"assignment.claim_reach_sizes": 0.0},
    "claim reach 1": {"assignment.claim_reach_sizes": 1.0},
    "proposals need not lead back": {"detection.return_reach_sizes": 0.0},
    "10 px for small things": {"detection.reach_sizes": 0.0},
}


def offsets(sigma):
    """Smooth and white noise on all offsets: `sigma` · R pixels on middle and long ones, a third on
    short ones.
    """

    def corrupt(heads, rng):
        for name, share in (("short_offsets", 1 / 3), ("middle_offsets", 1), ("long_offsets", 1)):
            _, height, width, channels = heads[name].shape
            coarse = rng.normal(size=[height // 8 + 1, width // 8 + 1, channels]).astype(np.float32)
            smooth = np.stack(
                [cv2.resize(coarse[..., k], (width, height)) for k in range(channels)], axis=-1
            )
            heads[name] = heads[name] + share * sigma * RADIUS.value * (
                smooth + rng.normal(0, 0.5, smooth.shape)
            ).astype(np.float32)

    return corrupt


def blurred_heatmap(heads, rng):
    """Disks of the heatmap blurred over three cells, shifted by two, noisy and far less certain."""
    heatmap = np.roll(heads["keypoint_logits"][0], (2, -2), axis=(0, 1))
    heatmap = cv2.GaussianBlur(heatmap, (0, 0), 3) / 4 + rng.normal(0, 1, heatmap.shape)
    heads["keypoint_logits"] = (heatmap - 1)[None].astype(np.float32)


def dropped_keypoints(heads, rng):
    """No heatmap at all in eight of ten 64 x 64 windows, separately for each kind."""
    _, height, width, kinds = heads["keypoint_logits"].shape
    holes = _windows(
        rng.random([height // 16 + 1, width // 16 + 1, kinds]) < 0.8, 16, height, width
    )
    heads["keypoint_logits"] = np.where(holes, -8.0, heads["keypoint_logits"]).astype(np.float32)


def wrong_semantics(heads, rng):
    """Another class of the image's own in one of ten 16 x 16 windows."""
    _, height, width, classes = heads["semantic_logits"].shape
    wrong = rng.random([height // 4 + 1, width // 4 + 1]) < 0.1
    label = rng.choice(np.unique(heads["semantic_logits"].argmax(-1)), wrong.shape)
    wrong, label = (_windows(x, 4, height, width) for x in (wrong, label))
    boost = 20.0 * (np.arange(classes) == label[..., None]) * wrong[..., None]
    heads["semantic_logits"] = heads["semantic_logits"] + boost[None].astype(np.float32)


def _windows(values, side, height, width):
    """One value for each window of `side` cells -> one for each cell."""
    return np.repeat(np.repeat(values, side, axis=0), side, axis=1)[:height, :width]


NOISES = {
    "none": lambda heads, rng: None,
    "offsets R/5": offsets(0.2),
    "offsets R/2": offsets(0.5),
    "offsets R": offsets(1.0),
    "heatmap": blurred_heatmap,
    "dropped": dropped_keypoints,
    "semantics": wrong_semantics,
}


def main():
    check_report(OUTPUT.value, {"rows"})
    config = oracle_config()
    dataset, image_ids, read = open_labels(config)
    scenes = []
    for number in range(len(image_ids)):
        labels = read(number)
        targets = make_targets(*(tf.constant(x) for x in labels), config)
        heads = perfect_heads(
            {name: value.numpy() for name, value in targets.items()}, dataset.num_classes
        )
        for noise, corrupt in NOISES.items():
            for seed in range(SEEDS.value if noise != "none" else 1):
                noisy = dict(heads)
                corrupt(noisy, np.random.default_rng([number, seed]))
                scenes.append((noise, labels, noisy))

    unknown = set(ONLY.value or ()) - set(CHOICES)
    if unknown:
        raise UserError(
            f"--choices names {', '.join(sorted(unknown))}; there are {', '.join(CHOICES)}."
        )
    rows = []
    names = ONLY.value or list(CHOICES)
    for choice in tqdm(names, unit="choice"):
        fusion = default_config().fusion
        fusion.keypoint_radius = RADIUS.value
        fusion.keypoint_graph = GRAPH.value
        fusion.update_from_flattened_dict(CHOICES[choice])
        rows.append({"choice": choice, **_qualities(scenes, dataset, fusion)})
    write_json(OUTPUT.value, {"rows": rows})
    print("| choice | " + " | ".join(NOISES) + " |\n" + "|---" * (len(NOISES) + 1) + "|")
    for row in rows:
        print(f"| {row['choice']} | " + " | ".join(f"{row[noise]:.3f}" for noise in NOISES) + " |")
    print(f"wrote {OUTPUT.value}")


def _qualities(scenes, dataset, fusion):
    """PQ under each kind of noise, as a dict.

    Args:
      scenes: list of noise, labels and heads.
      dataset: `Dataset`.
      fusion: config.fusion.
    """
    parse_heads = parser(dataset, fusion)
    qualities = {
        noise: PanopticQuality(dataset.num_classes, dataset.thing_classes) for noise in NOISES
    }
    for noise, (semantic, instance, crowd), heads in scenes:
        parse = parse_heads(heads, *semantic.shape)
        parsed = parse["semantic"].numpy()[0], parse["instance"].numpy()[0]
        qualities[noise].update(semantic, instance, *parsed, crowd)
    return {noise: quality.result()["pq"] for noise, quality in qualities.items()}


if __name__ == "__main__":
    cli.run(main, required=("output",))
