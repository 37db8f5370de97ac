"""The paper's ablations as pairs of short trainings: what each choice is worth on other photos.

`scripts/ablate.py` trains every variant equally long, with several seeds, and lays the differences
beside the paper's. Each variant changes one thing of `BASE`: star graph, space-to-depth, 3 x 3
kernels, every pixel and every instance weighing the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Changes = dict[str, Any]  # key of the config, without "config.", and its value


class Comparison(NamedTuple):
    """A row of one of the paper's ablations.

    Attributes:
      table: number in the paper.
      choice: what it is about.
      without, having: variants, keys of `VARIANTS`.
      pq, pc: the paper's difference, percent points.
    """

    table: int
    choice: str
    without: str
    having: str
    pq: float
    pc: float


BASE: Changes = {
    "train.steps": 600,
    "train.warmup_steps": 50,
    "train.ema": 0.99,
    "train.evaluate_every": 0,
    "train.hard_pixel_fraction": 1.0,
    "train.hard_pixel_steps": 0,
    "train.small_instance_weight": 1.0,
}

_MINING: Changes = {"train.hard_pixel_fraction": 0.15}
_SMALL_INSTANCES: Changes = {"train.small_instance_weight": 3.0}


def _kernels(size: int) -> Changes:
    """Larger kernels, which start with the pretrained 3 x 3 in their centre."""
    return {"model.kernel_size": size, "train.embed_kernels": True}


VARIANTS: dict[str, Changes] = {
    "base": {},
    "mining": _MINING,
    "small_instances": _SMALL_INSTANCES,
    "mining_small_instances": {**_MINING, **_SMALL_INSTANCES},
    "rectangle": {"model.keypoint_graph": "rectangle"},
    "bilinear": {"model.decoder": "bilinear"},
    "kernel_5": _kernels(5),
    "kernel_7": _kernels(7),
}

COMPARISONS = (
    Comparison(3, "kernels of 5 instead of 3", "base", "kernel_5", 0.64, 1.91),
    Comparison(3, "kernels of 7 instead of 5", "kernel_5", "kernel_7", 0.29, 0.42),
    Comparison(4, "space-to-depth instead of bilinear", "bilinear", "base", 1.17, 1.71),
    Comparison(5, "hard pixel mining", "base", "mining", 0.57, 0.11),
    Comparison(5, "weight on small instances", "base", "small_instances", 0.20, 0.19),
    Comparison(5, "both", "base", "mining_small_instances", 0.92, 1.00),
    Comparison(6, "star instead of rectangle", "rectangle", "base", 0.53, 1.79),
)
