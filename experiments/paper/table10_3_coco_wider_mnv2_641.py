r"""Tables 10 and 11, row 3: Wider MobileNetV2 on COCO, input 641 x 641.

    python scripts/train.py \
        --config=experiments/paper/table10_3_coco_wider_mnv2_641.py \
        --workdir=runs/table10_3 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 10 (val): PQ 27.91, PC 52.38, CPU 0.43 fps, GPU 17.19 fps, merge 25 ms.
Paper, Table 11 (test): PQ 28.1, SQ 75.3, RQ 35.8, PQ_Th 30.8, SQ_Th 75.7, RQ_Th 39.1,
    PQ_St 24.1, SQ_St 74.6, RQ_St 30.9.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.coco()
