r"""Table 5, row 2: hard pixel mining.

    python scripts/train.py \
        --config=experiments/paper/table05_2_hard_pixel_mining.py \
        --workdir=runs/table05_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 5 (val): PQ 24.64, PC 48.34.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.ablation(hard_pixel_mining=True)
