r"""Tables 1 and 2, row 2: Light Wider MobileNetV2 on Mapillary Vistas, input 1441 x 1441.

    python scripts/train.py \
        --config=experiments/paper/table01_2_vistas_light_wider_mnv2_1441.py \
        --workdir=runs/table01_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 1 (val): PQ 22.36, PC 47.52, CPU 0.18 fps, GPU 9.37 fps, merge 145 ms.
Paper, Table 2 (test): PQ 22.6, SQ 69.6, RQ 29.3, PQ_Th 15.4, SQ_Th 67.2, RQ_Th 21.1,
    PQ_St 32.1, SQ_St 72.9, RQ_St 40.2.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.light(paper.vistas())
