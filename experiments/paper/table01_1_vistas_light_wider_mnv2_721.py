r"""Tables 1 and 2, row 1: Light Wider MobileNetV2 on Mapillary Vistas, input 721 x 721.

    python scripts/train.py \
        --config=experiments/paper/table01_1_vistas_light_wider_mnv2_721.py \
        --workdir=runs/table01_1 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 1 (val): PQ 17.59, PC 43.43, CPU 0.77 fps, GPU 22.61 fps, merge 45 ms.
Paper, Table 2 (test): PQ 17.3, SQ 66.2, RQ 22.7, PQ_Th 9.1, SQ_Th 62.6, RQ_Th 12.8,
    PQ_St 28.2, SQ_St 71.0, RQ_St 35.8.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.light(paper.vistas(longer_side=721))
