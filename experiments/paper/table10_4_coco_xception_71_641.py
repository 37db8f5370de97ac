r"""Tables 10 and 11, row 4: Xception-71 on COCO, input 641 x 641.

    python scripts/train.py \
        --config=experiments/paper/table10_4_coco_xception_71_641.py \
        --workdir=runs/table10_4 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_xception_71

Paper, Table 10 (val): PQ 33.79, PC 56.82, CPU 0.33 fps, GPU 10.59 fps, merge 25 ms.
Paper, Table 11 (test): PQ 34.3, SQ 77.1, RQ 43.1, PQ_Th 37.5, SQ_Th 77.5, RQ_Th 46.8,
    PQ_St 29.6, SQ_St 76.4, RQ_St 37.4.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.xception_71(paper.coco())
