r"""Table 3, row 5: MobileNetV2 with 5 x 5 kernels, ASPP.

    python scripts/train.py \
        --config=experiments/paper/table03_5_kernel_5_aspp.py \
        --workdir=runs/table03_5 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 3 (val): PQ 19.85, PC 42.98.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.backbone_ablation(kernel_size=5, aspp=True)
