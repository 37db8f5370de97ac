r"""Table 3, row 3: MobileNetV2 with 7 x 7 kernels, no ASPP.

    python scripts/train.py \
        --config=experiments/paper/table03_3_kernel_7.py \
        --workdir=runs/table03_3 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_7x7

Paper, Table 3 (val): PQ 18.27, PC 40.33.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.backbone_ablation(kernel_size=7, aspp=False)
