r"""Table 3, row 4: MobileNetV2 with 3 x 3 kernels, ASPP.

    python scripts/train.py \
        --config=experiments/paper/table03_4_kernel_3_aspp.py \
        --workdir=runs/table03_4 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_3x3

Paper, Table 3 (val): PQ 19.21, PC 41.07.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.backbone_ablation(kernel_size=3, aspp=True)
