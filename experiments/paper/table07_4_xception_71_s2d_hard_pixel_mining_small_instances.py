r"""Table 7, row 4: Xception-71 with space-to-depth, hard pixel mining, small instances.

    python scripts/train.py \
        --config=experiments/paper/table07_4_xception_71_s2d_hard_pixel_mining_small_instances.py \
        --workdir=runs/table07_4 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_xception_71

Without ASPP, as the table is printed; --config.model.aspp=True is the other reading, which Table 1
takes.

Paper, Table 7 (val): PQ 30.46, PC 54.55.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    config = paper.xception_71(paper.ablation(hard_pixel_mining=True, small_instance_weight=True))
    config.model.aspp = False
    return config
