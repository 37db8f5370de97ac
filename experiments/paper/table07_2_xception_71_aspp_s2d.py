r"""Table 7, row 2: Xception-71 with ASPP, space-to-depth.

    python scripts/train.py \
        --config=experiments/paper/table07_2_xception_71_aspp_s2d.py \
        --workdir=runs/table07_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_xception_71

Paper, Table 7 (val): PQ 28.34, PC 50.88.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.xception_71(paper.ablation())
