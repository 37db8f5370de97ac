r"""Table 3, row 2: MobileNetV2 with 5 x 5 kernels, no ASPP.

    python scripts/train.py \
        --config=experiments/paper/table03_2_kernel_5.py \
        --workdir=runs/table03_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 3 (val): PQ 17.92, PC 39.34.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.backbone_ablation(kernel_size=5, aspp=False)
