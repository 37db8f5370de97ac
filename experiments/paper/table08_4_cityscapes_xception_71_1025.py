r"""Table 8, row 4: Xception-71 on Cityscapes, input 1025 x 2049.

    python scripts/train.py \
        --config=experiments/paper/table08_4_cityscapes_xception_71_1025.py \
        --workdir=runs/table08_4 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_xception_71

Paper, Table 8 (val): PQ 56.53, PC 75.63, CPU 0.07 fps, GPU 3.24 fps, merge 154 ms.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.xception_71(paper.cityscapes())
