r"""Table 9, row 2: Light Wider MobileNetV2 on PASCAL VOC 2012, input 513 x 513.

    python scripts/train.py \
        --config=experiments/paper/table09_2_voc_light_wider_mnv2_513.py \
        --workdir=runs/table09_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 9 (val): PQ 54.09, PC 71.09, CPU 1.83 fps, GPU 35.01 fps, merge 19 ms.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.light(paper.voc())
