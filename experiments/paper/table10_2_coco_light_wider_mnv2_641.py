r"""Tables 10 and 11, row 2: Light Wider MobileNetV2 on COCO, input 641 x 641.

    python scripts/train.py \
        --config=experiments/paper/table10_2_coco_light_wider_mnv2_641.py \
        --workdir=runs/table10_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 10 (val): PQ 24.10, PC 48.47, CPU 0.88 fps, GPU 20.81 fps, merge 25 ms.
Paper, Table 11 (test): PQ 24.5, SQ 73.2, RQ 31.5, PQ_Th 26.9, SQ_Th 73.7, RQ_Th 34.6,
    PQ_St 20.9, SQ_St 72.5, RQ_St 26.9.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.light(paper.coco())
