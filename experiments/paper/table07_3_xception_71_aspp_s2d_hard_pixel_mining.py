r"""Table 7, row 3: Xception-71 with ASPP, space-to-depth, hard pixel mining.

    python scripts/train.py \
        --config=experiments/paper/table07_3_xception_71_aspp_s2d_hard_pixel_mining.py \
        --workdir=runs/table07_3 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_xception_71

Paper, Table 7 (val): PQ 30.04, PC 53.35.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.xception_71(paper.ablation(hard_pixel_mining=True))
