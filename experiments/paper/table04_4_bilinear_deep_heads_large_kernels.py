r"""Table 4, row 4: bilinear upsampling, deeper heads, 7 x 7 kernels.

    python scripts/train.py \
        --config=experiments/paper/table04_4_bilinear_deep_heads_large_kernels.py \
        --workdir=runs/table04_4 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 4 (val): PQ 22.31, PC 44.62.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.decoder_ablation("bilinear", deep_heads=True, large_kernels=True)
