r"""Table 4, row 1: heads of one 1 x 1 convolution straight on the features.

    python scripts/train.py \
        --config=experiments/paper/table04_1_no_decoder.py \
        --workdir=runs/table04_1 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

The same as row 5 of Table 3.

Paper, Table 4 (val): PQ 19.85, PC 42.98.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.decoder_ablation("none")
