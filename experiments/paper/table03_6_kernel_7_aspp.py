r"""Table 3, row 6: MobileNetV2 with 7 x 7 kernels, ASPP.

    python scripts/train.py \
        --config=experiments/paper/table03_6_kernel_7_aspp.py \
        --workdir=runs/table03_6 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_7x7

Paper, Table 3 (val): PQ 20.14, PC 43.40.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.backbone_ablation(kernel_size=7, aspp=True)
