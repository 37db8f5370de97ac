r"""Penn-Fudan pedestrians from the network that ships: 136 photos, 34 others are held out.

    python scripts/train.py --config=experiments/pennfudan_street.py --workdir=runs/people \
        --config.data.root=PennFudanPed --config.train.initial_checkpoint=street
    python scripts/evaluate.py --workdir=runs/people --output=runs/people/evaluation

What one does with a few photos of one's own: the network's last convolution of the classes is new,
all else goes on from the street. Data as of `pennfudan.py`, which trains from scratch.

Two shared CPU cores: 75 minutes; person PQ 0.685, SQ 0.791, RQ 0.865 on 34 held-out photos, PC
0.865, mIoU 0.878. A first training of 700 steps had person PQ 0.584; with true classes and its own
keypoints it would have had 0.867 (`oracle.py`, on the same photos), so the classes' loss counts
twice since, and offsets less.
"""

import runpy
from pathlib import Path

HERE = Path(__file__).parent


def get_config():
    config = runpy.run_path(str(HERE / "pennfudan.py"))["get_config"]()
    street = runpy.run_path(str(HERE / "street_more.py"))["get_config"]()
    config.model = street.model
    config.fusion.nms_iou = street.fusion.nms_iou
    config.fusion.merging = street.fusion.merging

    config.data.longer_side = 321
    config.data.crop_size = (225, 225)
    config.eval.image_size = (321, 321)

    config.train.initial_part = "all_but_classes"
    config.train.optimizer = "adam"
    config.train.learning_rate = 1e-3
    config.train.backbone_rate = 0.5
    config.train.freeze_low_level = True
    config.train.warmup_steps = 50
    config.train.steps = 3000
    config.train.ema = 0.0
    # Of a first training, the classes were to blame for most errors, and offsets for few.
    config.train.loss_weights.semantic = 2.0
    config.train.loss_weights.middle = 0.25
    config.train.loss_weights.long = 0.25
    config.train.weight_decay = street.train.weight_decay
    config.train.hard_pixel_fraction = 0.5
    config.train.hard_pixel_steps = 3000
    config.train.checkpoint_every = 250
    return config
