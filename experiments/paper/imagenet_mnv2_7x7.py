r"""ImageNet-1K pretraining: MobileNetV2 with kernels of 7 x 7.

    python scripts/pretrain.py \
        --config=experiments/paper/imagenet_mnv2_7x7.py \
        --workdir=runs/imagenet_mnv2_7x7 --config.data.root=IMAGENET

IMAGENET has a folder for each class; TFRecords are given by --config.data.records instead.

The paper starts from such weights (Sec. 4) and gives no accuracy.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.imagenet(kernel_size=7)
