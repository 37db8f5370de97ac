"""Shapes, trained to the end: a wider decoder than the quickstart's, four times the scenes.

    python scripts/train.py --config=experiments/shapes_full.py --workdir=runs/shapes_full
    python scripts/evaluate.py --workdir=runs/shapes_full --output=runs/shapes_full/evaluation

Five times the quickstart's steps. Two CPU cores: 53 minutes of processor time, 26 on both cores;
PQ 0.899, SQ 0.925, RQ 0.970, PC 0.922, mIoU 0.931 on 200 held-out scenes. Goals: PQ 0.85, RQ 0.95,
PC 0.92 within 40 minutes.
"""

import runpy
from pathlib import Path

SHAPES = Path(__file__).with_name("shapes.py")


def get_config():
    config = runpy.run_path(str(SHAPES))["get_config"]()
    config.data.shapes.num_train = 8000

    config.model.batch_norm_momentum = 0.98
    config.model.low_level_channels = 48
    config.model.decoder_channels = 64
    config.model.semantic_head_channels = 64

    config.train.steps = 9000
    config.train.learning_rate = 0.2
    config.train.warmup_steps = 200
    config.train.checkpoint_every = 500
    config.train.panels_every = 3000
    return config
