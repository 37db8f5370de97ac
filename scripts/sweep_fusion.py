"""How the fusion's choices stand up to imperfect predictions: PQ of corrupted perfect heads, for each choice.

python scripts/sweep_fusion.py --gt_json=panoptic_val.json --gt_dir=panoptic_val --image_size=641 --output=sweep.json

Takes the flags of scripts/oracle.py. The file holds one row per choice, with the PQ under each kind of noise.
"""

import deeperlab_tf  # noqa: F401 isort: skip - first, for it quiets TensorFlow's start-up banners

import cv2
import numpy as np
import tensorflow as tf
from tqdm import tqdm

# isort: split
from oracle import GRAPH, OUTPUT, RADIUS, open_labels, oracle_config, parser

from deeperlab_tf import cli
from deeperlab_tf.config import default_config
from deeperlab_tf.files import write_json
from deeperlab_tf.metrics import PanopticQuality
from deeperlab_tf.oracle import perfect_heads
from input_pipeline.targets import make_targets

CHOICES = {
    "defaults": {},
    "offsets read at the point": {"keypoint_read": "point"},
    "no middle-range refinement": {"refine_middle_steps": 0},
    "one middle-range refinement": {"refine_middle_steps": 1},
    "no long-range refinement": {"refine_long": False},
    "no long-range votes": {"long_vote_weight": 0.0},
    "w = 1": {"long_vote_weight": 1.0},
    "every long-range vote": {"long_vote_every": 1},
    "peak window 3": {"peak_window": 3},
    "peak threshold 0.02": {"peak_threshold": 0.02},
    "peak threshold 0.1": {"peak_threshold": 0.1},
    "no Expected-OKS": {"rescore": "none"},
    "kappa 0.05": {"oks_kappa": 0.05},
    "kappa 0.2": {"oks_kappa": 0.2},
    "box NMS at 0.5": {"nms_iou": 0.5},
    "box NMS at 0.8": {"nms_iou": 0.8},
    "every pixel claimed": {"claim_reach": 0.0},
    "proposals need not lead back": {"return_reach": 0.0},
}


def offsets(sigma):
    """Smooth and white noise on all offsets: `sigma` pixels on middle and long ones, a third on short ones."""

    def corrupt(heads, rng):
        for name, share in (("short_offsets", 1 / 3), ("middle_offsets", 1), ("long_offsets", 1)):
            _, height, width, channels = heads[name].shape
            coarse = rng.normal(size=[height // 8 + 1, width // 8 + 1, channels]).astype(np.float32)
            smooth = np.stack([cv2.resize(coarse[..., k], (width, height)) for k in range(channels)], axis=-1)
            heads[name] = heads[name] + share * sigma * (smooth + rng.normal(0, 0.5, smooth.shape)).astype(np.float32)

    return corrupt


def blurred_heatmap(heads, rng):
    """Disks of the heatmap blurred, shifted by a cell, and less certain."""
    heatmap = np.roll(heads["keypoint_logits"][0], (1, -1), axis=(0, 1)) + rng.normal(
        0, 1, heads["keypoint_logits"].shape[1:]
    )
    heads["keypoint_logits"] = 0.5 * cv2.GaussianBlur(heatmap.astype(np.float32), (0, 0), 2)[None]


def dropped_keypoints(heads, rng):
    """No heatmap at all in three of ten 64 x 64 windows, separately for each kind."""
    _, height, width, kinds = heads["keypoint_logits"].shape
    holes = rng.random([height // 16 + 1, width // 16 + 1, kinds]) < 0.3
    holes = np.repeat(np.repeat(holes, 16, axis=0), 16, axis=1)[:height, :width]
    heads["keypoint_logits"] = np.where(holes, -8.0, heads["keypoint_logits"]).astype(np.float32)


def wrong_semantics(heads, rng):
    """Another class in one of ten 16 x 16 windows."""
    _, height, width, classes = heads["semantic_logits"].shape
    wrong = rng.random([height // 4 + 1, width // 4 + 1]) < 0.1
    label = rng.integers(0, classes, wrong.shape)
    wrong, label = (np.repeat(np.repeat(x, 4, axis=0), 4, axis=1)[:height, :width] for x in (wrong, label))
    boost = 20.0 * (np.arange(classes) == label[..., None]) * wrong[..., None]
    heads["semantic_logits"] = heads["semantic_logits"] + boost[None].astype(np.float32)


NOISES = {
    "none": lambda heads, rng: None,
    "offsets 5 px": offsets(5.0),
    "offsets 10 px": offsets(10.0),
    "offsets 20 px": offsets(20.0),
    "heatmap": blurred_heatmap,
    "dropped": dropped_keypoints,
    "semantics": wrong_semantics,
}


def main():
    config = oracle_config()
    dataset, image_ids, read = open_labels(config)
    scenes = []
    for number in range(len(image_ids)):
        labels = read(number)
        targets = make_targets(*(tf.constant(x) for x in labels), config)
        heads = perfect_heads({name: value.numpy() for name, value in targets.items()}, dataset.num_classes)
        for noise, corrupt in NOISES.items():
            noisy = dict(heads)
            corrupt(noisy, np.random.default_rng(number))
            scenes.append((noise, labels, noisy))

    rows = []
    for choice, fields in tqdm(CHOICES.items(), unit="choice"):
        fusion = default_config().fusion
        fusion.update({"keypoint_radius": RADIUS.value, "keypoint_graph": GRAPH.value, **fields})
        parse_heads = parser(dataset, fusion)
        qualities = {noise: PanopticQuality(dataset.num_classes, dataset.thing_classes) for noise in NOISES}
        for noise, (semantic, instance, crowd), heads in scenes:
            parse = parse_heads(heads, *semantic.shape)
            maps = parse["semantic"].numpy()[0], parse["instance"].numpy()[0]
            qualities[noise].update(semantic, instance, *maps, crowd)
        rows.append({"choice": choice, **{noise: quality.result()["pq"] for noise, quality in qualities.items()}})
    write_json(OUTPUT.value, {"rows": rows})
    print("| choice | " + " | ".join(NOISES) + " |\n" + "|---" * (len(NOISES) + 1) + "|")
    for row in rows:
        print(f"| {row['choice']} | " + " | ".join(f"{row[noise]:.3f}" for noise in NOISES) + " |")
    print(f"wrote {OUTPUT.value}")


if __name__ == "__main__":
    cli.run(main, required=("output",))
