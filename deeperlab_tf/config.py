"""Every knob of the system once, with the paper's value and section.

An experiment starts from `default_config()` and changes what differs. The config is locked: an
unknown key is an error that names it. A value that several parts need (the keypoint radius, the
relation graph) is one `FieldReference`: set it anywhere and it changes everywhere.

Marks: [D] the DeeperLab paper, [P] PersonLab, [L] the DeepLab code base, [R] our decision where
they are silent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict
from ml_collections.config_dict import FieldReference

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import LABEL_DIVISOR


def default_config() -> ConfigDict:
    """The paper's Wider MobileNetV2 model on Mapillary Vistas.

    Returns:
      A locked `ConfigDict` with the sections model, fusion, data, train, eval and pretrain.

    Example:
      config = default_config()
      config.data.dataset = "shapes"
      config.train.steps = 1000
    """
    # R, pixels of the network input, for every object size [D, Sec. 3.3.2]
    radius = FieldReference(25.0)
    graph = FieldReference("star")  # star | rectangle [D, Tab. 6]

    config = ConfigDict()
    config.model = _model(radius, graph)
    config.fusion = _fusion(radius, graph)
    config.data = _data(radius, graph)
    config.train = _train()
    config.eval = _eval()
    config.pretrain = _pretrain()
    return config.lock()


def _model(radius: FieldReference, graph: FieldReference) -> ConfigDict:
    model = ConfigDict()
    model.keypoint_radius = radius
    model.keypoint_graph = graph

    # === Encoder ===
    model.backbone = "mobilenet_v2"  # mobilenet_v2 | xception_71 | xception_65 [D, Sec. 3.1]
    # Of every spatial convolution of MobileNetV2, stem included; 5: Wider MobileNetV2 [D, Tab. 3]
    model.kernel_size = 5
    model.width = 1.0  # channel multiplier of the backbone
    model.output_stride = 16  # 8, 16 or 32 [D, Sec. 3.1]
    model.batch_norm_momentum = 0.997  # Xception: 0.9997 [L]; short trainings want less
    model.aspp = True  # atrous spatial pyramid pooling [D, Tab. 3]
    model.aspp_channels = 256  # [L]
    model.aspp_rates = (6, 12, 18)  # [L]
    model.aspp_dropout = 0.1  # [L]

    # === Decoder ===
    model.decoder = "s2d"  # s2d | bilinear | none [D, Tab. 4]
    # What the stride-4 feature is reduced to before space-to-depth [R]
    model.low_level_channels = 32
    # At stride 4; 16 times as many before depth-to-space. Light: 128 [D, Sec. 4.1]
    model.decoder_channels = 256
    model.decoder_kernel_size = 7  # Light: 3 [D, Sec. 3.2]

    # === Heads ===
    model.deep_heads = True  # a k x k convolution before each head's 1x1 [D, Tab. 4 "DH"]
    model.head_kernel_size = 7  # Light: 3 [D, Sec. 3.3]
    model.semantic_head_channels = 256  # Light: 128 [D, Sec. 3.3]
    model.instance_head_channels = 64  # of each of the four others [D, Sec. 3.3]
    return model


def _fusion(radius: FieldReference, graph: FieldReference) -> ConfigDict:
    # The name of a length ends in its unit: radii are R, the keypoint radius; sizes are λ, the
    # square root of the area of an instance's box; pixels are those of the network input; cells
    # are those of the heads' grid.
    fusion = ConfigDict()
    fusion.keypoint_radius = radius
    fusion.keypoint_graph = graph

    # === What one turns after a training ===
    fusion.peak_threshold = 0.1  # lowest score of a keypoint candidate [R]
    fusion.nms_iou = 0.6  # hard box NMS [R]
    fusion.max_keypoints = 1024  # C, candidates per image over all kinds [R]
    fusion.max_instances = 256  # J [R]
    fusion.label_divisor = LABEL_DIVISOR  # panoptic = class * label_divisor + instance

    # === The constants of each step ===
    refinement = fusion.refinement = ConfigDict()
    # Offsets at a keypoint: voters: mean over those of its disk | point: where it is [P]
    refinement.keypoint_read = "voters"
    # How near a voter's vote lands: which cells' middle-range offsets count [R]
    refinement.voter_reach_radii = 0.2
    refinement.start_reach_radii = 0.5  # the same for refinement, whose start is less certain [R]
    refinement.middle_steps = 1  # M <- M + S(x + M), passes; 0: off [P]
    refinement.long_range = True  # L <- L + S(x + L) where it lands on a keypoint's disk [R]
    refinement.long_threshold = 0.5  # heatmap probability that counts as such a disk [R]

    voting = fusion.voting = ConfigDict()
    voting.lightest_vote = 0.01  # the many lighter short-range votes cost time, not accuracy [R]
    voting.long_weight = 0.5  # w: score map = short + w * long [R]
    # Thing cells of every n-th diagonal vote, n-fold; 1: all, as in the paper
    voting.long_every = 2

    detection = fusion.detection = ConfigDict()
    detection.peak_window_cells = 5  # local maxima [R]
    # Proposals whose edges lead back farther off than R and this share of λ are dropped;
    # 0: off [R]
    detection.return_reach_sizes = 0.5
    detection.rescore = "expected_oks"  # expected_oks | none [P]
    detection.oks_kappa = 0.1  # width of a keypoint relative to its object's size [R]
    # A candidate this near the same keypoint of a detected instance is its own [P]
    detection.radius_pixels = 10.0
    # The same for small instances; 0: off, 10 pixels for all as in the paper
    detection.reach_sizes = 0.3

    assignment = fusion.assignment = ConfigDict()
    # Pixels farther than R and this share of λ from all instances belong to none;
    # 0: off, as in the paper
    assignment.claim_reach_sizes = 0.5

    merging = fusion.merging = ConfigDict()
    # Segments of a smaller share of the image are left unlabelled, for most of them are false; 0:
    # off, as in the paper. Stuff, and what is left of a thing class when all instances have theirs
    merging.least_stuff_share = 0.0
    merging.least_unclaimed_share = 0.0
    return fusion


def _data(radius: FieldReference, graph: FieldReference) -> ConfigDict:
    data = ConfigDict()
    data.keypoint_radius = radius
    data.keypoint_graph = graph

    # === Where samples come from ===
    # coco | coco_instances | cityscapes | vistas | voc | folder | yolo | labelme | shapes
    data.dataset = "shapes"
    data.root = ""  # folder of the raw dataset
    # The file that describes the data: YAML or JSON of `folder`, data.yaml of `yolo`, labels.txt of
    # `labelme`, the JSON of `coco` and `coco_instances`, which may hold {split}; "": in the root
    data.classes = ""
    data.train_split = "train"  # split that training reads; VOC: train_aug [D, Sec. B]
    # Folder of TFRecords made by scripts/build_records.py; "": read the raw files
    data.records = ""

    # === What annotations mean where their files leave it open ===
    annotations = data.annotations = ConfigDict()
    # The stuff class of pixels that no outline covers; ignore: they do not count
    annotations.uncovered = "background"
    annotations.stuff = ""  # names of the outlined classes that are stuff: road, sky
    # Which outline is on top: file_order (the later one) | smaller_on_top
    annotations.overlaps = "file_order"
    # Photos without a mask or an annotation: error | empty (nothing is in them) | skip
    annotations.without_labels = "error"
    # Of data without splits of their own, every n-th photo is `val`
    annotations.val_every = 10

    # === In which order ===
    data.shuffle = True
    data.seed = 0
    # Records that are mixed at a time, in memory still encoded …
    data.shuffle_buffer = 100
    # … but never more than this together; it takes about three times the memory
    data.shuffle_megabytes = 128
    data.cache = False  # keep decoded samples in memory: small datasets only

    # === Size ===
    # Resize images to this longer side first; 0: as they are. Mapillary: 1441 [D, Sec. 4]
    data.longer_side = 0
    data.crop_size = (721, 721)  # training crop, sides 16k + 1 [D, Sec. 4]

    # === Augmentation ===
    data.min_scale = 0.5  # random scale [L]
    data.max_scale = 2.0  # [L]
    data.scale_step = 0.25  # 0: continuous [L]
    data.flip = True  # random left-right flip [L]
    data.brightness = 0.0  # largest shift as a share of 255; 0: off
    data.contrast = 0.0  # largest relative change; 0: off
    data.saturation = 0.0  # largest relative change; 0: off

    # === Scenes made on the fly, the dataset "shapes" ===
    shapes = data.shapes = ConfigDict()
    shapes.image_size = (129, 129)
    shapes.num_train = 2000
    shapes.num_val = 200
    shapes.max_things = 8
    shapes.random_colors = False  # True: form alone tells a thing's class
    return data


def _train() -> ConfigDict:
    train = ConfigDict()
    train.steps = 500_000  # ablations: 200_000 [D, Sec. 4.1]
    train.batch_size = 28  # global; Xception-71: 16 [D, Sec. 4]
    train.seed = 0

    # === Start ===
    # Weights to start from, ImageNet-1K in the paper [D, Sec. 4]: imagenet (Keras Applications') |
    # a Keras HDF5 file | a TF-slim checkpoint | a training | a model that ships; "": random ones
    train.initial_checkpoint = ""
    # What is taken from it: backbone; of one of our own trainings also all_but_classes | network
    train.initial_part = "backbone"
    # Put its 3x3 kernels into the centre of larger ones; not the paper's pretraining [R]
    train.embed_kernels = False

    # === Optimizer ===
    train.optimizer = "sgd"  # sgd (momentum) | adam
    train.momentum = 0.9  # [L]
    train.learning_rate = 0.01  # initial [D, Sec. 4]
    # The rate is for batches of this size and grows in proportion; 0: for any size
    train.learning_rate_batch = 0
    # The backbone's rate is so many times the others'; a tenth keeps what it knows already
    train.backbone_rate = 1.0
    train.power = 0.9  # poly schedule [L]
    train.warmup_steps = 0
    # L2 on convolution and pointwise kernels, not on depthwise ones or batch norm [L]
    train.weight_decay = 4e-5
    train.clip_norm = 0.0  # global gradient norm; 0: off
    # The gradients of so many parts of a batch are added up before a step: saves memory
    train.accumulation_steps = 1
    # Decay of the weights' moving average, which is then what is evaluated and exported; 0: off
    train.ema = 0.0

    # === Losses ===
    # As in ports of PersonLab [P, R]
    weights = train.loss_weights = ConfigDict()
    weights.semantic = 1.0
    weights.heatmap = 4.0
    weights.short = 1.0
    weights.middle = 0.25
    weights.long = 0.125
    train.hard_pixel_fraction = 0.15  # Eq. 1's K / N; 1: every pixel, as on COCO [D, Sec. 3.3.1]
    # Over so many steps K / N falls from 1 to that [L]; 0: it is that from the start.
    train.hard_pixel_steps = 0
    train.small_instance_area = 64 * 64  # pixels of the crop [D, Sec. 3.3.1]
    train.small_instance_weight = 3.0  # 1: off [D, Sec. 3.3.1]
    train.class_weights = ()  # factor of each class in Eq. 1; (): all 1

    # === Execution ===
    # Several replicas: statistics of the whole batch, not of each replica's share
    train.sync_batch_norm = True
    # True: batch norms keep their statistics and weights [D: fine-tuned]
    train.freeze_batch_norm = False
    # True: the backbone stays as it was up to its stride-4 feature; a step takes a tenth less
    train.freeze_low_level = False
    train.mixed_precision = "float32"  # float32 | mixed_bfloat16 | mixed_float16
    train.jit_compile = False  # compile the step by XLA; always so on TPU
    train.steps_per_execution = 1  # steps between returns to Python: more on TPU

    # === Bookkeeping ===
    train.checkpoint_every = 1000  # steps
    train.keep_checkpoints = 3
    # Steps between evaluations, each of which may become the best checkpoint; 0: none
    train.evaluate_every = 0
    train.evaluate_images = 0  # of split val; 0: all
    train.best_metric = "pq"  # key of metrics.json that decides which checkpoint is the best
    train.log_every = 50  # steps between log lines and TensorBoard scalars
    train.panels_every = 1000  # steps between TensorBoard image panels
    train.num_panels = 4
    return train


def _eval() -> ConfigDict:
    evaluation = ConfigDict()
    # (height, width), sides 16k + 1: images are padded to it, larger ones shrunk first
    evaluation.image_size = (1441, 1441)
    # False: pad each image to the next 16k + 1 only, which is less work
    evaluation.pad_to_size = True
    evaluation.batch_size = 1
    return evaluation


def _pretrain() -> ConfigDict:
    # ImageNet-1K classification (scripts/pretrain.py): the paper starts from it [D, Sec. 4]; how
    # it is trained is our decision throughout [R].
    pretrain = ConfigDict()
    pretrain.num_classes = 1000
    pretrain.label_smoothing = 0.1
    pretrain.dropout = 0.2
    pretrain.min_area = 0.08  # random-resized crop: smallest share of the image …
    pretrain.max_aspect_ratio = 4 / 3  # … and largest ratio of its sides, either way round
    pretrain.center_crop = 0.875  # evaluation: the middle square, this share of the shorter side
    return pretrain


# === Checks ===

ANNOTATION_CHOICES = {
    "overlaps": ("file_order", "smaller_on_top"),
    "without_labels": ("error", "empty", "skip"),
}
# Keys that are checked where they are used, by the parts that know what there is, are not here.
_CHOICES = {
    "fusion.refinement.keypoint_read": ("voters", "point"),
    "fusion.detection.rescore": ("expected_oks", "none"),
    **{f"data.annotations.{key}": choices for key, choices in ANNOTATION_CHOICES.items()},
}


class _Range(NamedTuple):
    """Numbers from `low` to `high`; `advice` says so to people. Infinity and NaN are in none."""

    advice: str
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def has(self, value: Any) -> bool:
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return self.low <= value <= self.high and self.above < value < self.below


_COUNT = _Range("give at least 1", low=1)
_ANY_COUNT = _Range("give 0 or more", low=0)
_POSITIVE = _Range("give a positive number", above=0)
_SHARE = _Range("give a number from 0 to 1", low=0, high=1)
_MOST = _Range("give 0 or more, less than 1", low=0, below=1)
_PART = _Range("give more than 0, at most 1", above=0, high=1)

_RANGES = {
    "model.keypoint_radius": _POSITIVE,
    "model.batch_norm_momentum": _MOST,
    "model.aspp_channels": _COUNT,
    "model.aspp_rates": _COUNT,
    "model.aspp_dropout": _MOST,
    "model.low_level_channels": _COUNT,
    "model.decoder_channels": _COUNT,
    "model.decoder_kernel_size": _COUNT,
    "model.head_kernel_size": _COUNT,
    "model.semantic_head_channels": _COUNT,
    "model.instance_head_channels": _COUNT,
    "fusion.peak_threshold": _SHARE,
    "fusion.nms_iou": _SHARE,
    "fusion.max_keypoints": _COUNT,
    "fusion.max_instances": _COUNT,
    "fusion.refinement.voter_reach_radii": _ANY_COUNT,
    "fusion.refinement.start_reach_radii": _ANY_COUNT,
    "fusion.refinement.middle_steps": _ANY_COUNT,
    "fusion.refinement.long_threshold": _SHARE,
    "fusion.voting.lightest_vote": _SHARE,
    "fusion.voting.long_weight": _ANY_COUNT,
    "fusion.voting.long_every": _COUNT,
    "fusion.detection.peak_window_cells": _COUNT,
    "fusion.detection.return_reach_sizes": _ANY_COUNT,
    "fusion.detection.oks_kappa": _POSITIVE,
    "fusion.detection.radius_pixels": _ANY_COUNT,
    "fusion.detection.reach_sizes": _ANY_COUNT,
    "fusion.assignment.claim_reach_sizes": _ANY_COUNT,
    "fusion.merging.least_stuff_share": _SHARE,
    "fusion.merging.least_unclaimed_share": _SHARE,
    "data.annotations.val_every": _Range("give at least 2", low=2),
    "data.shuffle_buffer": _COUNT,
    "data.shuffle_megabytes": _POSITIVE,
    "data.longer_side": _ANY_COUNT,
    "data.min_scale": _POSITIVE,
    "data.max_scale": _POSITIVE,
    "data.scale_step": _ANY_COUNT,
    "data.brightness": _SHARE,
    "data.contrast": _SHARE,
    "data.saturation": _SHARE,
    "train.steps": _COUNT,
    "train.batch_size": _COUNT,
    "train.momentum": _MOST,
    "train.learning_rate": _ANY_COUNT,
    "train.learning_rate_batch": _ANY_COUNT,
    "train.backbone_rate": _POSITIVE,
    "train.power": _ANY_COUNT,
    "train.warmup_steps": _ANY_COUNT,
    "train.weight_decay": _ANY_COUNT,
    "train.clip_norm": _ANY_COUNT,
    "train.accumulation_steps": _COUNT,
    "train.ema": _MOST,
    "train.loss_weights.semantic": _ANY_COUNT,
    "train.loss_weights.heatmap": _ANY_COUNT,
    "train.loss_weights.short": _ANY_COUNT,
    "train.loss_weights.middle": _ANY_COUNT,
    "train.loss_weights.long": _ANY_COUNT,
    "train.hard_pixel_fraction": _PART,
    "train.hard_pixel_steps": _ANY_COUNT,
    "train.small_instance_area": _ANY_COUNT,
    "train.small_instance_weight": _ANY_COUNT,
    "train.class_weights": _ANY_COUNT,
    "train.steps_per_execution": _COUNT,
    "train.checkpoint_every": _COUNT,
    "train.keep_checkpoints": _COUNT,
    "train.evaluate_every": _ANY_COUNT,
    "train.evaluate_images": _ANY_COUNT,
    "train.log_every": _COUNT,
    "train.panels_every": _ANY_COUNT,
    "train.num_panels": _ANY_COUNT,
    "eval.batch_size": _COUNT,
    "pretrain.num_classes": _COUNT,
    "pretrain.label_smoothing": _MOST,
    "pretrain.dropout": _MOST,
    "pretrain.min_area": _PART,
    "pretrain.max_aspect_ratio": _COUNT,
    "pretrain.center_crop": _PART,
}


def check_config(config: ConfigDict) -> ConfigDict:
    """Returns `config`, unchanged, where every value is one that the system can work with.

    Raises:
      UserError: names the first key whose value is not.
    """
    for key, choices in _CHOICES.items():
        value = _value(config, key)
        _check(value in choices, key, repr(value), f"give {' or '.join(choices)}")
    for key, allowed in _RANGES.items():
        value = _value(config, key)
        each = value if isinstance(value, (tuple, list)) else (value,)
        _check(all(map(allowed.has, each)), key, value, allowed.advice)
    _check_size(config.data.crop_size, "data.crop_size")
    _check_size(config.eval.image_size, "eval.image_size")

    low, high = config.data.min_scale, config.data.max_scale
    _check(low <= high, "data.min_scale", low, f"give at most max_scale, which is {high}")
    check_label_divisor(config.fusion)
    return config


def check_label_divisor(fusion: ConfigDict) -> None:
    """Checks that the ids of instances fit below the class.

    Raises:
      UserError: they do not.
    """
    instances, divisor = fusion.max_instances, fusion.label_divisor
    advice = f"give less than label_divisor ({divisor}), or ids would run into the class"
    _check(instances < divisor, "fusion.max_instances", instances, advice)


def _value(config: ConfigDict, key: str) -> Any:
    for name in key.split("."):
        config = config[name]
    return config


def _check(is_good: bool, key: str, value: Any, advice: str) -> None:
    if not is_good:
        raise UserError(f"config.{key} is {value}; {advice}.")


def _check_size(size: Sequence[int], key: str) -> None:
    _check(len(size) == 2, key, tuple(size), "give (height, width)")
    for side in size:
        check_side(side, f"config.{key}")


def check_side(side: int, name: str) -> None:
    """Checks that a side of an image is 16k + 1.

    Only then do the grids of stride 4 and 16 sit exactly on pixels.

    Args:
      side: pixels.
      name: what the error calls it.

    Raises:
      UserError: it is not; says which one near it is.
    """
    if side >= 17 and side % 16 == 1:
        return
    nearest = max(16, round((side - 1) / 16) * 16) + 1
    raise UserError(f"{name} has side {side}, which is not 16k + 1; use {nearest}, for example.")
