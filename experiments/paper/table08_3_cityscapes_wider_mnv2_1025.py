r"""Table 8, row 3: Wider MobileNetV2 on Cityscapes, input 1025 x 2049.

    python scripts/train.py \
        --config=experiments/paper/table08_3_cityscapes_wider_mnv2_1025.py \
        --workdir=runs/table08_3 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 8 (val): PQ 52.33, PC 74.04, CPU 0.10 fps, GPU 6.71 fps, merge 154 ms.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.cityscapes()
