r"""Tables 1 and 2, row 3: Wider MobileNetV2 on Mapillary Vistas, input 1441 x 1441.

    python scripts/train.py \
        --config=experiments/paper/table01_3_vistas_wider_mnv2_1441.py \
        --workdir=runs/table01_3 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 1 (val): PQ 25.20, PC 49.80, CPU 0.09 fps, GPU 6.19 fps, merge 145 ms.
Paper, Table 2 (test): PQ 25.3, SQ 70.6, RQ 32.3, PQ_Th 17.6, SQ_Th 65.5, RQ_Th 23.4,
    PQ_St 35.5, SQ_St 77.4, RQ_St 44.0.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.vistas()
