r"""Tables 10 and 11, row 1: Light Wider MobileNetV2 on COCO, input 321 x 321.

    python scripts/train.py \
        --config=experiments/paper/table10_1_coco_light_wider_mnv2_321.py \
        --workdir=runs/table10_1 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 10 (val): PQ 17.51, PC 39.15, CPU 3.13 fps, GPU 33.84 fps, merge 8 ms.
Paper, Table 11 (test): PQ 18.0, SQ 71.3, RQ 23.6, PQ_Th 18.5, SQ_Th 71.8, RQ_Th 24.3,
    PQ_St 17.2, SQ_St 70.5, RQ_St 22.6.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.light(paper.coco(side=321))
