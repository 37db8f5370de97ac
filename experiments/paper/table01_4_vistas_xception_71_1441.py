r"""Tables 1 and 2, row 4: Xception-71 on Mapillary Vistas, input 1441 x 1441.

    python scripts/train.py \
        --config=experiments/paper/table01_4_vistas_xception_71_1441.py \
        --workdir=runs/table01_4 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_xception_71

Paper, Table 1 (val): PQ 31.95, PC 55.26, CPU 0.06 fps, GPU 3.09 fps, merge 145 ms.
Paper, Table 2 (test): PQ 31.6, SQ 75.5, RQ 40.1, PQ_Th 25.0, SQ_Th 73.4, RQ_Th 33.1,
    PQ_St 40.3, SQ_St 78.3, RQ_St 49.3.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.xception_71(paper.vistas())
