r"""Table 7, row 1: Xception-71 with ASPP, bilinear upsampling.

    python scripts/train.py \
        --config=experiments/paper/table07_1_xception_71_aspp_bilinear.py \
        --workdir=runs/table07_1 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_xception_71

Paper, Table 7 (val): PQ 27.79, PC 50.80.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    config = paper.xception_71(paper.ablation())
    config.model.decoder = "bilinear"
    return config
