r"""Table 4, row 2: bilinear upsampling.

    python scripts/train.py \
        --config=experiments/paper/table04_2_bilinear.py \
        --workdir=runs/table04_2 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 4 (val): PQ 20.78, PC 43.83.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.decoder_ablation("bilinear")
