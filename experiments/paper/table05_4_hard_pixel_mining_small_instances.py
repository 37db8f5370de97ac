r"""Table 5, row 4: both.

    python scripts/train.py \
        --config=experiments/paper/table05_4_hard_pixel_mining_small_instances.py \
        --workdir=runs/table05_4 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 5 (val): PQ 24.99, PC 49.23.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.ablation(hard_pixel_mining=True, small_instance_weight=True)
