"""The paper's experimental settings (Sec. 4 and the supplement), which the table*.py in
experiments/ start from.

A file of an experiment picks a dataset and a network here and changes what its row of the table is
about:

    config = paper.light(paper.cityscapes(longer_side=1024))

Marks as in config.py.
"""

from deeperlab_tf.config import default_config, light_decoder

IMAGENET_IMAGES = 1_281_167
IMAGENET_BATCH, IMAGENET_EPOCHS, IMAGENET_WARMUP_EPOCHS = 1024, 120, 5  # [R]
# [D, Sec. 4.1]; the models of Tables 1 and 8-11 take the default of 500,000.
ABLATION_STEPS = 200_000
XCEPTION_BATCH = 16  # [D, Sec. 4]; MobileNetV2 takes the default of 28
XCEPTION_BATCH_NORM_MOMENTUM = 0.9997  # [L]


# === Datasets, each with Wider MobileNetV2 ===


def vistas(longer_side=1441):
    """Mapillary Vistas (Sec. 4): images resized to 1441 pixels on the longer side, crops of 721 x
    721.

    `longer_side` 721 is the paper's input downsampled by 2; the network is then trained on such
    images, too [R].
    """
    return _config("vistas", (longer_side, longer_side), (721, 721), longer_side)


def cityscapes(longer_side=2048):
    """Cityscapes (Sec. A): fine annotations only, crops of 721 x 721; halved images: 513 x 513 [R]."""
    crop = 721 if longer_side == 2048 else 513
    return _config("cityscapes", (longer_side // 2 + 1, longer_side + 1), (crop, crop), longer_side)


def voc(side=513):
    """PASCAL VOC 2012 (Sec. B), trained on train_aug; crops as large as the input for evaluation
    [R].
    """
    config = _config("voc", (side, side), (side, side), 0 if side == 513 else side)
    config.data.train_split = "train_aug"
    return config


def coco(side=641):
    """COCO (Sec. C): images are not enlarged, no mining of hard pixels; crops as large as the input
    [R].
    """
    config = _config("coco", (side, side), (side, side), 0 if side == 641 else side)
    config.train.hard_pixel_fraction = 1.0
    return config


def _config(dataset, image_size, crop_size, longer_side):
    config = default_config()
    config.data.dataset = dataset
    config.data.longer_side = longer_side
    config.data.crop_size = crop_size
    config.eval.image_size = image_size
    return config


# === Networks ===


def light(config):
    """Light Wider MobileNetV2 (Sec. 4.1). Returns the config, changed."""
    light_decoder(config.model)
    return config


def xception_71(config):
    """Xception-71 instead of Wider MobileNetV2, with its batch (Sec. 4). Returns the config,
    changed.
    """
    config.model.backbone = "xception_71"
    config.model.kernel_size = 3
    config.model.batch_norm_momentum = XCEPTION_BATCH_NORM_MOMENTUM
    config.train.batch_size = XCEPTION_BATCH
    return config


# === Ablations on Mapillary Vistas (Sec. 4.2) ===


def ablation(hard_pixel_mining=False, small_instance_weight=False):
    """The full decoder with Wider MobileNetV2, trained for 200K steps; what Table 5 studies is off
    unless asked for.
    """
    config = vistas()
    config.train.steps = ABLATION_STEPS
    if not hard_pixel_mining:
        config.train.hard_pixel_fraction = 1.0
    if not small_instance_weight:
        config.train.small_instance_weight = 1.0
    return config


def backbone_ablation(kernel_size, aspp):
    """Table 3: heads of one 1x1 convolution straight on the encoder's output."""
    config = decoder_ablation("none")
    config.model.kernel_size = kernel_size
    config.model.aspp = aspp
    return config


def decoder_ablation(decoder, deep_heads=False, large_kernels=False):
    """Table 4: kind of decoder (none | bilinear | s2d), one more convolution in the heads, kernels
    of 7 or 3.
    """
    config = ablation()
    config.model.decoder = decoder
    config.model.deep_heads = deep_heads
    if not large_kernels:
        config.model.decoder_kernel_size = config.model.head_kernel_size = 3
    return config


# === Pretraining ===


def imagenet(kernel_size=3):
    """ImageNet-1K classification with MobileNetV2 (Sec. 4 says that it was done, not how: all [R])."""
    config = _config("imagenet", (225, 225), (225, 225), 0)
    config.data.shuffle_buffer = 4096
    config.model.kernel_size = kernel_size
    config.model.output_stride = 32  # strides instead of dilation: the same weights, less work
    config.eval.batch_size = 64
    config.train.batch_size = IMAGENET_BATCH
    config.train.steps = IMAGENET_EPOCHS * IMAGENET_IMAGES // IMAGENET_BATCH
    config.train.warmup_steps = IMAGENET_WARMUP_EPOCHS * IMAGENET_IMAGES // IMAGENET_BATCH
    config.train.learning_rate = 0.4
    config.train.power = 1.0
    config.train.best_metric = "top1"
    return config


def imagenet_xception(backbone):
    """The same with xception_71 or xception_65."""
    config = imagenet()
    config.model.backbone = backbone
    config.model.batch_norm_momentum = 0.99  # moves on faster than in fine-tuning
    return config
