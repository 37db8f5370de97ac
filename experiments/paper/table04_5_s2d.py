r"""Table 4, row 5: space-to-depth.

    python scripts/train.py \
        --config=experiments/paper/table04_5_s2d.py \
        --workdir=runs/table04_5 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 4 (val): PQ 21.12, PC 44.86.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.decoder_ablation("s2d")
