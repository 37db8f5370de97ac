r"""Table 8, row 1: Light Wider MobileNetV2 on Cityscapes, input 513 x 1025.

    python scripts/train.py \
        --config=experiments/paper/table08_1_cityscapes_light_wider_mnv2_513.py \
        --workdir=runs/table08_1 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 8 (val): PQ 39.32, PC 64.66, CPU 0.96 fps, GPU 23.99 fps, merge 45 ms.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.light(paper.cityscapes(longer_side=1024))
