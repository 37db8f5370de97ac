r"""Table 9, row 1: Light Wider MobileNetV2 on PASCAL VOC 2012, input 257 x 257.

    python scripts/train.py \
        --config=experiments/paper/table09_1_voc_light_wider_mnv2_257.py \
        --workdir=runs/table09_1 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 9 (val): PQ 40.16, PC 59.76, CPU 5.65 fps, GPU 40.82 fps, merge 5 ms.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.light(paper.voc(side=257))
