r"""Table 6, row 2: rectangle graph, no centre of mass.

    python scripts/train.py \
        --config=experiments/paper/table06_2_rectangle.py \
        --workdir=runs/table06_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 6 (val): PQ 23.54, PC 46.44.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    config = paper.ablation()
    config.model.keypoint_graph = "rectangle"
    return config
