r"""Anybody's own photos and masks: a starting point to copy and change.

    python scripts/train.py --config=experiments/folder.py --workdir=runs/mine \
        --config.data.root=DIR

DIR holds the images, the masks and a `classes.yaml` (input_pipeline/datasets/folder.py). The
network is the paper's Light Wider MobileNetV2; the sizes suit photos of about 500 pixels and one
GPU.
"""

from deeperlab_tf.config import default_config
from deeperlab_tf.paper import set_network


def get_config():
    config = default_config()
    config.data.dataset = "folder"
    config.data.longer_side = 513  # every photo is resized to this longer side first
    config.data.crop_size = (321, 321)
    config.eval.image_size = (513, 513)
    config.eval.pad_to_size = False

    set_network(config.model, "light_wider_mobilenet_v2")
    config.model.keypoint_radius = 12.0  # about a fortieth of the longer side
    config.model.batch_norm_momentum = 0.99
    config.fusion.detection.radius_pixels = 6.0

    config.train.batch_size = 8
    config.train.steps = 20_000
    config.train.learning_rate = 0.05
    config.train.warmup_steps = 500
    config.train.clip_norm = 5.0
    return config
