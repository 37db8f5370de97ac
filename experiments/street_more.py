r"""Goes on where `street.py` ended: 1,800 steps at a falling rate, rare classes counting more.

    python scripts/train.py --config=experiments/street_more.py --workdir=runs/street_more \
        --config.data.root=STREET --config.train.initial_checkpoint=runs/street
    python scripts/evaluate.py --model=runs/street_more --output=evaluations/street_more

STREET is as in `street.py`; --config.train.initial_checkpoint=street goes on from the model that
ships.

Measured on the 283 photos of val, after 80 minutes of two shared cores: PQ 0.210 (things 0.067,
stuff 0.314), PC 0.384, mIoU 0.345, car PQ 0.302. The same again from there, at a higher rate:

    python scripts/train.py --config=experiments/street_more.py --workdir=runs/street_last \
        --config.data.root=STREET --config.train.initial_checkpoint=runs/street_more \
        --config.train.learning_rate=8e-4 --config.train.ema=0

PQ 0.224 (things 0.076, stuff 0.332), PC 0.409, mIoU 0.378, car PQ 0.327: the model that
ships as `street`. A moving average of 0.999 scores 0.208: it is over the last thousand steps or
so, most of them at a high rate. The last weights, at a rate of almost 0, need no average.
"""

import runpy
from pathlib import Path

STREET = Path(__file__).with_name("street.py")

# About frequency ** -1/4: 0.8 for the road, 2.5 for what is rarest; in the order of `classes.yaml`.
CLASS_WEIGHTS = (
    *(0.8, 1.25, 0.9, 2.0, 2.0, 1.8, 2.5, 2.2, 1.0, 1.8, 1.4),  # road … sky
    *(1.8, 2.5, 1.2, 2.5, 2.5, 2.5, 2.5, 2.3),  # person … bicycle
)


def get_config():
    config = runpy.run_path(str(STREET))["get_config"]()
    config.data.max_scale = 1.5
    config.train.initial_part = "network"
    config.train.steps = 1800
    config.train.learning_rate = 6e-4
    config.train.backbone_rate = 0.3
    config.train.warmup_steps = 50
    config.train.ema = 0.998
    config.train.hard_pixel_fraction = 0.5
    config.train.hard_pixel_steps = 1800
    config.train.class_weights = CLASS_WEIGHTS
    # Chosen on 60 photos of train (`sweep_fusion.py`), where 0.45 alone adds 0.9 points of PQ.
    config.fusion.nms_iou = 0.45
    config.fusion.peak_threshold = 0.2
    return config
