r"""Table 4, row 6: space-to-depth, deeper heads.

    python scripts/train.py \
        --config=experiments/paper/table04_6_s2d_deep_heads.py \
        --workdir=runs/table04_6 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 4 (val): PQ 22.45, PC 46.30.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.decoder_ablation("s2d", deep_heads=True)
