"""ImageNet-1K pretraining: Xception-71.

    python scripts/pretrain.py --config=experiments/paper/imagenet_xception_71.py
        --workdir=runs/imagenet_xception_71 \ --config.data.root=IMAGENET      # folders of classes;
        TFRecords: --config.data.records=IMAGENET

The paper starts from such weights (Sec. 4) and gives no accuracy.
Measured: not run here.
"""

from deeperlab_tf import paper


def get_config():
    return paper.imagenet_xception("xception_71")
