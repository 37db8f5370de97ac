r"""Penn-Fudan pedestrians, trained from scratch on 136 street photos; 34 others are held out.

    python scripts/train.py --config=experiments/pennfudan.py --workdir=runs/pennfudan \
        --config.data.root=PennFudanPed
    python scripts/evaluate.py --workdir=runs/pennfudan --output=runs/pennfudan/evaluation

Data: https://www.cis.upenn.edu/~jshi/ped_html/ (`PNGImages/` and `PedMasks/` as they are).

Two CPU cores: 40 minutes; person PQ 0.552, PC 0.797, mIoU 0.805 on 34 held-out photos.
"""

from pathlib import Path

from deeperlab_tf.config import default_config


def get_config():
    config = default_config()
    config.data.dataset = "folder"
    config.data.root = "PennFudanPed"
    config.data.classes = str(Path(__file__).with_name("pennfudan.yaml"))
    config.data.cache = True
    config.data.longer_side = 257
    config.data.crop_size = (193, 193)
    config.data.min_scale = 0.6
    config.data.max_scale = 1.6
    config.data.scale_step = 0.0
    config.data.brightness = 0.3
    config.data.contrast = 0.3
    config.data.saturation = 0.3
    config.eval.image_size = (257, 257)
    config.eval.pad_to_size = False

    config.model.kernel_size = 3
    config.model.width = 0.5
    config.model.keypoint_radius = 10.0
    config.model.batch_norm_momentum = 0.99
    config.model.aspp_channels = 96
    config.model.low_level_channels = 16
    config.model.decoder_channels = 48
    config.model.decoder_kernel_size = 5
    config.model.head_kernel_size = 3
    config.model.semantic_head_channels = 48
    config.model.instance_head_channels = 48
    config.fusion.detection.radius_pixels = 6.0
    config.fusion.peak_threshold = 0.2  # as on the shapes

    config.train.batch_size = 8
    config.train.steps = 6000
    config.train.learning_rate = 0.15
    config.train.warmup_steps = 200
    config.train.clip_norm = 5.0
    config.train.weight_decay = 1e-4
    config.train.loss_weights.middle = 0.5
    config.train.loss_weights.long = 0.5
    # From scratch, two classes: the hardest alone teach nothing but doubt.
    config.train.hard_pixel_fraction = 1.0
    config.train.small_instance_weight = 1.0
    config.train.checkpoint_every = 500
    config.train.panels_every = 1000
    return config
