r"""Table 6, row 1: star graph.

    python scripts/train.py \
        --config=experiments/paper/table06_1_star.py \
        --workdir=runs/table06_1 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

The same as row 1 of Table 5.

Paper, Table 6 (val): PQ 24.07, PC 48.23.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.ablation()
