r"""Street scenes from ImageNet weights on two CPU cores: 1,971 photos of 641 x 321, 19 classes.

    python scripts/train.py --config=experiments/street.py --workdir=runs/street \
        --config.data.root=STREET --config.train.initial_checkpoint=mobilenet_v2_1.0_224.ckpt
    python scripts/evaluate.py --workdir=runs/street --output=runs/street/evaluation --best

STREET holds Cityscapes' photos, masks and `classes.yaml` in the format of docs/data.md; the
checkpoint is the published MobileNetV2 1.0 of ImageNet-1K under the names of TF-slim.

Measured on the 283 photos of val after 5,488 of the steps, about two hours of two shared cores:
PQ 0.178 (things 0.040, stuff 0.279), PC 0.297, mIoU 0.282. `street_more.py` goes on from there.
"""

from deeperlab_tf.config import default_config


def get_config():
    config = default_config()
    config.data.dataset = "folder"
    config.data.crop_size = (257, 257)
    config.data.min_scale = 0.75
    config.data.max_scale = 1.75
    config.data.scale_step = 0.0
    config.data.brightness = 0.2
    config.data.contrast = 0.2
    config.data.saturation = 0.2
    config.eval.image_size = (321, 641)

    config.model.kernel_size = 3
    config.model.keypoint_radius = 10.0
    config.model.batch_norm_momentum = 0.99
    config.model.decoder_channels = 48
    config.model.decoder_kernel_size = 5
    config.model.head_kernel_size = 3
    config.model.semantic_head_channels = 64
    config.model.instance_head_channels = 48
    config.fusion.detection.radius_pixels = 6.0

    config.train.batch_size = 8
    config.train.steps = 6500
    config.train.optimizer = "adam"
    config.train.learning_rate = 1e-3
    config.train.warmup_steps = 100
    config.train.clip_norm = 5.0
    config.train.ema = 0.999
    config.train.loss_weights.long = 0.25
    # The hardest pixels alone teach a short training little, so they set in slowly.
    config.train.hard_pixel_fraction = 0.3
    config.train.hard_pixel_steps = 6000
    config.train.freeze_low_level = True
    # The photos are a third of Cityscapes' size.
    config.train.small_instance_area = 32 * 32
    config.train.small_instance_weight = 2.0
    config.train.checkpoint_every = 250
    config.train.evaluate_every = 2500
    config.train.evaluate_images = 100
    config.train.panels_every = 2500
    return config
