r"""Table 8, row 2: Light Wider MobileNetV2 on Cityscapes, input 1025 x 2049.

    python scripts/train.py \
        --config=experiments/paper/table08_2_cityscapes_light_wider_mnv2_1025.py \
        --workdir=runs/table08_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 8 (val): PQ 48.06, PC 69.70, CPU 0.24 fps, GPU 10.21 fps, merge 154 ms.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.light(paper.cityscapes())
