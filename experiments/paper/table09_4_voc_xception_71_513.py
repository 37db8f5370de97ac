r"""Table 9, row 4: Xception-71 on PASCAL VOC 2012, input 513 x 513.

    python scripts/train.py \
        --config=experiments/paper/table09_4_voc_xception_71_513.py \
        --workdir=runs/table09_4 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_xception_71

Paper, Table 9 (val): PQ 67.35, PC 77.57, CPU 0.57 fps, GPU 13.93 fps, merge 19 ms.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.xception_71(paper.voc())
