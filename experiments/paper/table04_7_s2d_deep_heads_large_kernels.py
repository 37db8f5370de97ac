r"""Table 4, row 7: space-to-depth, deeper heads, 7 x 7 kernels.

    python scripts/train.py \
        --config=experiments/paper/table04_7_s2d_deep_heads_large_kernels.py \
        --workdir=runs/table04_7 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 4 (val): PQ 23.48, PC 46.33.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.decoder_ablation("s2d", deep_heads=True, large_kernels=True)
