r"""Table 9, row 3: Wider MobileNetV2 on PASCAL VOC 2012, input 513 x 513.

    python scripts/train.py \
        --config=experiments/paper/table09_3_voc_wider_mnv2_513.py \
        --workdir=runs/table09_3 --config.data.root=DATA \
        --config.train.initial_checkpoint=runs/imagenet_mnv2_5x5

Paper, Table 9 (val): PQ 58.75, PC 72.72, CPU 0.77 fps, GPU 23.76 fps, merge 19 ms.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.voc()
