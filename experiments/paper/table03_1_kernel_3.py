r"""Table 3, row 1: MobileNetV2 with 3 x 3 kernels, no ASPP.

    python scripts/train.py \
        --config=experiments/paper/table03_1_kernel_3.py \
        --workdir=runs/table03_1 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_3x3

Paper, Table 3 (val): PQ 16.17, PC 34.80.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.backbone_ablation(kernel_size=3, aspp=False)
