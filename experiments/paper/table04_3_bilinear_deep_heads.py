r"""Table 4, row 3: bilinear upsampling, deeper heads.

    python scripts/train.py \
        --config=experiments/paper/table04_3_bilinear_deep_heads.py \
        --workdir=runs/table04_3 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 4 (val): PQ 21.59, PC 44.95.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.decoder_ablation("bilinear", deep_heads=True)
