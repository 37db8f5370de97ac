r"""Table 5, row 3: larger weights for small instances.

    python scripts/train.py \
        --config=experiments/paper/table05_3_small_instances.py \
        --workdir=runs/table05_3 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 5 (val): PQ 24.27, PC 48.42.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.ablation(small_instance_weight=True)
