"""Which settings of the fusion suit a trained network, or stand up to noise.

python scripts/sweep_fusion.py --model=runs/street --split=val --num_images=60 \\
    --set=peak_threshold=0.05,0.1,0.2 --set=nms_iou=0.5,0.6 --output=sweep.json

A trained network: its heads are kept, in a temporary file, and fused with every combination of the
values (--nogrid: with each value alone), and with the model's own. Without --set, the choices that
the project itself measures, one at a time. The file holds a row of metrics for each, and the best.

python scripts/sweep_fusion.py --gt_json=panoptic_val.json --gt_dir=panoptic_val --image_size=641 \\
    --output=sweep.json

Noise: PQ of corrupted perfect heads, for each choice. Takes the flags of scripts/oracle.py, for
datasets as for files. The file holds one row per choice, with the PQ under each kind of noise.
"""

from __future__ import annotations

from deeperlab_tf import cli  # isort: skip - first, for it quiets TensorFlow's start-up banners

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import flags
from ml_collections import ConfigDict
from tqdm import tqdm

# isort: split
from oracle import OUTPUT, RADIUS, open_labels, open_model, oracle_config, origin, parser

from benchmarks.noises import noises
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.kept_heads import KeptHeads
from deeperlab_tf.evaluation.oracle import perfect_heads
from deeperlab_tf.evaluation.replaced_heads import Labels
from deeperlab_tf.evaluation.sweep import METRICS, best_of, grid, one_by_one, sweep, table
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.reports import check_report
from deeperlab_tf.metrics import PanopticQuality
from deeperlab_tf.prediction.overrides import override_config
from deeperlab_tf.schema import Dataset
from input_pipeline.targets import make_targets

SET = flags.DEFINE_multi_string(
    "set", [], "With --model: KEY=VALUE,VALUE,... of config.fusion, such as nms_iou=0.5,0.6."
)
GRID = flags.DEFINE_bool(
    "grid", True, "Every combination of the values; --nogrid: each value alone."
)
METRIC = flags.DEFINE_enum(
    "metric", "pq", list(METRICS.values()), "With --model: what the best setting is best at."
)
SEEDS = flags.DEFINE_integer(
    "seeds", 1, "How often the noise is drawn for each image.", lower_bound=1
)
ONLY = flags.DEFINE_list("choices", None, "Only these choices; all, if not given.")

# Values of the config that differ from the defaults.
CHOICES = {
    "defaults": {},
    "offsets read at the point": {"fusion.refinement.keypoint_read": "point"},
    "no middle-range refinement": {"fusion.refinement.middle_steps": 0},
    "two middle-range refinements": {"fusion.refinement.middle_steps": 2},
    "no long-range refinement": {"fusion.refinement.long_range": False},
    "no long-range votes": {"fusion.voting.long_weight": 0.0},
    "w = 1": {"fusion.voting.long_weight": 1.0},
    "every long-range vote": {"fusion.voting.long_every": 1},
    "peak window 3": {"fusion.detection.peak_window_cells": 3},
    "peak threshold 0.05": {"fusion.peak_threshold": 0.05},
    "peak threshold 0.2": {"fusion.peak_threshold": 0.2},
    "no Expected-OKS": {"fusion.detection.rescore": "none"},
    "kappa 0.05": {"fusion.detection.oks_kappa": 0.05},
    "kappa 0.2": {"fusion.detection.oks_kappa": 0.2},
    "box NMS at 0.5": {"fusion.nms_iou": 0.5},
    "box NMS at 0.8": {"fusion.nms_iou": 0.8},
    "every pixel claimed": {"fusion.assignment.claim_reach_sizes": 0.0},
    "claim reach 1": {"fusion.assignment.claim_reach_sizes": 1.0},
    "no small stuff": {"fusion.merging.least_stuff_share": 0.001},
    "nothing unclaimed": {"fusion.merging.least_unclaimed_share": 1.0},
    "proposals need not lead back": {"fusion.detection.return_reach_sizes": 0.0},
    "10 px for small things": {"fusion.detection.reach_sizes": 0.0},
}


def main() -> None:
    check_report(OUTPUT.value, {"rows"})
    if cli.model():
        _sweep_model()
    else:
        _sweep_noise()


def _choices() -> dict[str, dict[str, Any]]:
    """Those of `CHOICES` that --choices names."""
    unknown = set(ONLY.value or ()) - set(CHOICES)
    if unknown:
        raise UserError(
            f"--choices names {', '.join(sorted(unknown))}; there are {', '.join(CHOICES)}."
        )
    return {name: CHOICES[name] for name in ONLY.value or CHOICES}


# === A trained network ===


def _sweep_model() -> None:
    settings = _settings()
    predictor, source = open_model()
    dataset, config = predictor.dataset, predictor.config
    # What does not fit is told before the network runs.
    for setting in settings:
        override_config(config, setting)
    with KeptHeads() as kept:
        kept.fill(predictor, source)
        print(f"kept the heads of {len(kept)} images, {kept.num_bytes / 2**20:.0f} MiB")
        rows = sweep(kept, dataset, config, settings)

    best = best_of(rows, METRIC.value)
    result = dict(origin(source), metric=METRIC.value, rows=rows, best=best)
    write_json(OUTPUT.value, result)
    print(f"{table(rows, best)}\n  best {METRIC.value}: {best['name']}\n  wrote {OUTPUT.value}")


def _settings() -> list[dict[str, Any]]:
    """What differs from the model's own config, in each row; {} first."""
    if SET.value and ONLY.value:
        raise UserError("--set and --choices both name settings; give one of them.")
    if not SET.value:
        return list(_choices().values())
    values: dict[str, list[Any]] = {}
    for text in SET.value:
        key, listed = _values(text)
        values.setdefault(key, []).extend(listed)
    return [{}, *(grid(values) if GRID.value else one_by_one(values))]


def _values(text: str) -> tuple[str, list[Any]]:
    """KEY=VALUE,VALUE as (key of the config, values)."""
    key, _, listed = text.partition("=")
    if not key or not listed:
        raise UserError(f"--set={text}: give KEY=VALUE,VALUE, such as nms_iou=0.5,0.6.")
    return f"fusion.{key.removeprefix('fusion.')}", [_value(word) for word in listed.split(",")]


def _value(word: str) -> Any:
    """A number or a truth value; else a word."""
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


# === Noise ===


class Scene(NamedTuple):
    """Corrupted perfect heads of one image.

    Attributes:
      noise: its name.
      labels: the truth.
      heads: dict of the five heads.
    """

    noise: str
    labels: Labels
    heads: dict[str, np.ndarray]


def _sweep_noise() -> None:
    if SET.value:
        raise UserError("--set is for a trained network; give --model, too.")
    choices = _choices()
    config = oracle_config()
    images = open_labels(config)
    kinds = noises(RADIUS.value)
    scenes = []
    for number in range(len(images.ids)):
        labels = images.read(number)
        targets = make_targets(*(tf.constant(values) for values in labels), config)
        targets = {name: value.numpy() for name, value in targets.items()}
        heads = perfect_heads(targets, images.dataset.num_classes)
        for noise, corrupt in kinds.items():
            for seed in range(SEEDS.value if noise != "none" else 1):
                noisy = dict(heads)
                corrupt(noisy, np.random.default_rng([number, seed]))
                scenes.append(Scene(noise, labels, noisy))

    rows = []
    for choice, changes in tqdm(choices.items(), unit="choice"):
        fusion = override_config(config, changes).fusion
        rows.append({"choice": choice, **_qualities(scenes, images.dataset, fusion)})
    write_json(OUTPUT.value, {"rows": rows})
    print("| choice | " + " | ".join(kinds) + " |\n" + "|---" * (len(kinds) + 1) + "|")
    for row in rows:
        print(f"| {row['choice']} | " + " | ".join(f"{row[noise]:.3f}" for noise in kinds) + " |")
    print(f"wrote {OUTPUT.value}")


def _qualities(scenes: Sequence[Scene], dataset: Dataset, fusion: ConfigDict) -> dict[str, float]:
    """PQ under each kind of noise."""
    parse_heads = parser(dataset, fusion)
    qualities: dict[str, PanopticQuality] = {}
    for noise, labels, heads in scenes:
        parse = parse_heads(heads, *labels.semantic.shape)
        parsed = parse["semantic"].numpy()[0], parse["instance"].numpy()[0]
        new = PanopticQuality(dataset.num_classes, dataset.thing_classes)
        quality = qualities.setdefault(noise, new)
        quality.update(labels.semantic, labels.instance, *parsed, labels.crowd)
    return {noise: quality.result()["pq"] for noise, quality in qualities.items()}


if __name__ == "__main__":
    cli.run(main, required=("output",))
