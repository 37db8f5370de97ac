"""Every knob of the system once, with the paper's value and section.

An experiment starts from `default_config()` and changes what differs. The config is locked: an
unknown key is an error that names it. A value that several parts need (the keypoint radius, the
relation graph) is one `FieldReference`: set it anywhere and it changes everywhere.

Marks: [D] the DeeperLab paper, [P] PersonLab, [L] the DeepLab code base, [R] our decision where
they are silent.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import FieldReference

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import LABEL_DIVISOR


def default_config():
    """The paper's Wider MobileNetV2 model on Mapillary Vistas: a locked `ConfigDict`."""
    # R, pixels of the network input, for every object size [D, Sec. 3.3.2]
    keypoint_radius = FieldReference(25.0)
    keypoint_graph = FieldReference("star")  # star | rectangle [D, Tab. 6]
    config = ConfigDict()
    config.model = _model(keypoint_radius, keypoint_graph)
    config.fusion = _fusion(keypoint_radius, keypoint_graph)
    config.data = _data(keypoint_radius, keypoint_graph)
    config.train = _train()
    config.eval = _eval()
    config.pretrain = _pretrain()
    return config.lock()


def _model(keypoint_radius, keypoint_graph):
    return ConfigDict(
        dict(
            backbone="mobilenet_v2",  # mobilenet_v2 | xception_71 | xception_65 [D, Sec. 3.1]
            # Of every 3x3 convolution of MobileNetV2, stem included; 5: Wider MobileNetV2 [D, Tab. 3].
            kernel_size=5,
            width=1.0,  # channel multiplier of the backbone
            output_stride=16,  # 8, 16 or 32 [D, Sec. 3.1]
            batch_norm_momentum=0.997,  # Xception: 0.9997 [L]; short trainings want less
            aspp=True,  # atrous spatial pyramid pooling [D, Tab. 3]
            aspp_channels=256,  # [L]
            aspp_rates=(6, 12, 18),  # [L]
            aspp_dropout=0.1,  # [L]
            # The stride-4 feature is reduced to these before space-to-depth [R]
            low_level_channels=32,
            decoder="s2d",  # s2d | bilinear | none [D, Tab. 4]
            # At stride 4; 16 times as many before depth-to-space. Light: 128 [D, Sec. 4.1]
            decoder_channels=256,
            decoder_kernel_size=7,  # Light: 3 [D, Sec. 3.2]
            deep_heads=True,  # a k x k convolution before each head's 1x1 [D, Tab. 4 "DH"]
            head_kernel_size=7,  # Light: 3 [D, Sec. 3.3]
            semantic_head_channels=256,  # Light: 128 [D, Sec. 3.3]
            instance_head_channels=64,  # of each of the four others [D, Sec. 3.3]
            keypoint_radius=keypoint_radius,
            keypoint_graph=keypoint_graph,
        )
    )


def light_decoder(model):
    """Turns a model config into the paper's *Light* variant: 3x3 kernels and 128 filters (Sec.
    4.1). Returns it.
    """
    model.decoder_channels = 128
    model.decoder_kernel_size = 3
    model.head_kernel_size = 3
    model.semantic_head_channels = 128
    return model


def _fusion(keypoint_radius, keypoint_graph):
    # A length says its unit: radii are R, the keypoint radius; sizes are λ, the square root of an
    # instance's box area; pixels are those of the network input, cells those of the heads' grid.
    return ConfigDict(
        dict(
            keypoint_radius=keypoint_radius,
            keypoint_graph=keypoint_graph,
            # === What one turns after a training ===
            peak_threshold=0.1,  # lowest score of a keypoint candidate [R]
            nms_iou=0.6,  # hard box NMS [R]
            max_keypoints=1024,  # C, candidates an image over all kinds [R]
            max_instances=256,  # J [R]
            label_divisor=LABEL_DIVISOR,  # panoptic = class * label_divisor + instance
            # === The constants of each step ===
            refinement=dict(
                # Offsets at a keypoint: voters: mean over those of its disk | point: where it is,
                # as PersonLab [P].
                keypoint_read="voters",
                # How near a voter's vote lands: which cells' middle-range offsets count [R].
                voter_reach_radii=0.2,
                # The same for refinement, whose start is less certain [R].
                start_reach_radii=0.5,
                middle_steps=1,  # M <- M + S(x + M), passes; 0: off [P]
                long_range=True,  # L <- L + S(x + L) where it lands on a keypoint's disk [R]
                long_threshold=0.5,  # heatmap probability that counts as such a disk [R]
            ),
            voting=dict(
                # The many lighter short-range votes cost time, not accuracy [R].
                lightest_vote=0.01,
                long_weight=0.5,  # w: score map = short + w * long [R]
                # Thing cells of every n-th diagonal vote, n-fold; 1: all, as in the paper.
                long_every=2,
            ),
            detection=dict(
                peak_window_cells=5,  # local maxima [R]
                # Proposals whose edges lead back farther off than R and this share of λ are
                # dropped; 0: off [R].
                return_reach_sizes=0.5,
                rescore="expected_oks",  # expected_oks | none [P]
                oks_kappa=0.1,  # width of a keypoint relative to its object's size [R]
                # A candidate this near the same keypoint of a detected instance is its own [P].
                radius_pixels=10.0,
                # The same for small instances; 0: off, 10 pixels for all as in the paper.
                reach_sizes=0.3,
            ),
            assignment=dict(
                # Pixels farther than R and this share of λ from all instances are no one's; 0: off,
                # as in the paper.
                claim_reach_sizes=0.5,
            ),
        )
    )


def _data(keypoint_radius, keypoint_graph):
    return ConfigDict(
        dict(
            dataset="shapes",  # coco | cityscapes | vistas | voc | folder | shapes
            root="",  # folder of the raw dataset
            # Folder dataset: its YAML or JSON description; default root/classes.yaml or .json.
            classes="",
            train_split="train",  # split that training reads; VOC: train_aug [D, Sec. B]
            # Folder of TFRecords made by scripts/build_records.py; "": read the raw files.
            records="",
            # Records that are mixed at a time, in memory still encoded …
            shuffle_buffer=100,
            # … but never more than this together; it takes about three times the memory.
            shuffle_megabytes=128,
            # Resize images to this longer side first; 0: as they are. Mapillary: 1441 [D, Sec. 4]
            longer_side=0,
            crop_size=(721, 721),  # training crop, sides 16k + 1 [D, Sec. 4]
            min_scale=0.5,  # random scale augmentation [L]
            max_scale=2.0,  # [L]
            scale_step=0.25,  # 0: continuous [L]
            flip=True,  # random left-right flip [L]
            brightness=0.0,  # photometric augmentation: largest shift as a share of 255; 0: off
            contrast=0.0,  # largest relative change; 0: off
            saturation=0.0,  # largest relative change; 0: off
            keypoint_radius=keypoint_radius,
            keypoint_graph=keypoint_graph,
            shuffle=True,
            cache=False,  # keep decoded samples in memory: small datasets only
            seed=0,
            shapes=dict(  # scenes made on the fly
                image_size=(129, 129),
                num_train=2000,
                num_val=200,
                max_things=8,
                random_colors=False,  # True: form alone tells a thing's class
            ),
        )
    )


def _train():
    return ConfigDict(
        dict(
            steps=500_000,  # ablations: 200_000 [D, Sec. 4.1]
            batch_size=28,  # global; Xception-71: 16 [D, Sec. 4]
            # Start from these weights: ImageNet-1K in the paper [D, Sec. 4]; "": random ones.
            initial_checkpoint="",
            # What is taken from it: backbone | network (of one of our own trainings).
            initial_part="backbone",
            # Put its 3x3 kernels into the centre of larger ones; not the paper's pretraining [R]
            embed_kernels=False,
            optimizer="sgd",  # sgd (momentum) | adam
            # Gradients of so many parts of a batch are added up before a step: saves memory.
            accumulation_steps=1,
            learning_rate=0.01,  # initial [D, Sec. 4]
            # The rate is for batches of this size and grows in proportion; 0: for any size.
            learning_rate_batch=0,
            power=0.9,  # poly schedule [L]
            warmup_steps=0,
            momentum=0.9,  # [L]
            # L2 on convolution and pointwise kernels, not on depthwise ones or batch norm [L]
            weight_decay=4e-5,
            clip_norm=0.0,  # global gradient norm; 0: off
            # As in ports of PersonLab [P, R].
            loss_weights=dict(semantic=1.0, heatmap=4.0, short=1.0, middle=0.25, long=0.125),
            hard_pixel_fraction=0.15,  # Eq. 1's K / N; 1: every pixel, as on COCO [D, Sec. 3.3.1]
            small_instance_area=64 * 64,  # pixels of the crop [D, Sec. 3.3.1]
            small_instance_weight=3.0,  # 1: off [D, Sec. 3.3.1]
            class_weights=(),  # factor of each class in Eq. 1; (): all 1
            # Decay of the weights' moving average, which is then what is evaluated and exported;
            # 0: off.
            ema=0.0,
            # Several replicas: statistics of the whole batch, not of each replica's share.
            sync_batch_norm=True,
            # True: batch norms keep their statistics and weights [D: fine-tuned]
            freeze_batch_norm=False,
            mixed_precision="float32",  # float32 | mixed_bfloat16 | mixed_float16
            jit_compile=False,  # compile the step by XLA; always so on TPU
            steps_per_execution=1,  # steps between returns to Python: more on TPU
            checkpoint_every=1000,  # steps
            keep_checkpoints=3,
            # Steps between evaluations, each of which may become the best checkpoint; 0: none.
            evaluate_every=0,
            evaluate_images=0,  # of split val; 0: all
            best_metric="pq",  # key of metrics.json that decides which checkpoint is the best
            log_every=50,  # steps between log lines and TensorBoard scalars
            panels_every=1000,  # steps between TensorBoard image panels
            num_panels=4,
            seed=0,
        )
    )


def _eval():
    return ConfigDict(
        dict(
            # (height, width), sides 16k + 1: images are padded to it, larger ones shrunk first.
            image_size=(1441, 1441),
            # False: pad each image to the next 16k + 1 only, which is less work.
            pad_to_size=True,
            batch_size=1,
        )
    )


def _pretrain():
    return ConfigDict(
        # ImageNet-1K classification, scripts/pretrain.py. That the paper starts from it: [D, Sec. 4],
        # all else: [R].
        dict(
            num_classes=1000,
            label_smoothing=0.1,
            dropout=0.2,
            min_area=0.08,  # random-resized crop: smallest share of the image
            max_aspect_ratio=4 / 3,  # and its longest sides' ratio, lying or standing
            center_crop=0.875,  # for evaluation: the middle square, this share of the shorter side
        )
    )


def check_config(config):
    """Raises UserError, naming the key, for values that no part of the system can work with.
    Returns `config`.
    """
    for key, value in (
        ("data.crop_size", config.data.crop_size),
        ("eval.image_size", config.eval.image_size),
    ):
        if len(value) != 2:
            raise UserError(f"config.{key} is {tuple(value)}; give (height, width).")
        for side in value:
            check_side(side, f"config.{key}")
    if config.train.steps < 1:
        raise UserError(f"config.train.steps is {config.train.steps}; give at least 1.")
    for key in (
        "batch_size",
        "accumulation_steps",
        "steps_per_execution",
        "checkpoint_every",
        "log_every",
    ):
        if config.train[key] < 1:
            raise UserError(f"config.train.{key} is {config.train[key]}; give at least 1.")
    if not 0 <= config.train.ema < 1:
        raise UserError(f"config.train.ema is {config.train.ema}; give 0 <= ema < 1.")
    fraction = config.train.hard_pixel_fraction
    if not 0 < fraction <= 1:
        raise UserError(f"config.train.hard_pixel_fraction is {fraction}; give 0 < fraction <= 1.")
    if not 0 < config.data.min_scale <= config.data.max_scale:
        raise UserError(
            f"config.data.min_scale is {config.data.min_scale}; give 0 < min_scale <= max_scale."
        )
    if config.model.keypoint_radius <= 0:
        raise UserError(
            f"config.model.keypoint_radius is {config.model.keypoint_radius}; give a positive radius."
        )
    return config


def check_side(side, name):
    """Raises UserError unless `side` is 16k + 1: only then do the grids of stride 4 and 16 sit
    exactly on pixels.
    """
    if side < 17 or (side - 1) % 16:
        nearest = max(16, round((side - 1) / 16) * 16) + 1
        raise UserError(
            f"{name} has side {side}, which is not 16k + 1; use {nearest}, for example."
        )
