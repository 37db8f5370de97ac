"""TensorBoard's image panels."""

import os

import numpy as np
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.evaluation.panels import make_panels
from deeperlab_tf.model import build_model
from deeperlab_tf.training.callbacks import Run


def test_image_panels_show_held_out_samples(tiny_config, toy_dataset, tmp_path):
    tiny_config.train.panels_every = 1
    semantic = np.zeros((40, 60), np.int32)
    semantic[10:30, 10:30] = 2
    sample = {
        "image": np.full((40, 60, 3), 90, np.uint8),
        "semantic": semantic,
        "instance": (semantic == 2).astype(np.int32),
    }
    trainer = keras.Sequential()
    trainer.network = build_model(tiny_config.model, toy_dataset)
    run = Run(tiny_config, str(tmp_path), tf.distribute.get_strategy(), start=0)
    (panels,) = make_panels(toy_dataset, [sample])(run)
    panels.set_model(trainer)
    panels.on_train_begin()
    panels.on_train_batch_end(0)

    images = {
        value.tag: value
        for name in os.listdir(run.board)
        for event in tf.compat.v1.train.summary_iterator(os.path.join(run.board, name))
        for value in event.summary.value
    }
    assert set(images) == {"val/0", "val_offsets/0"}
    for value in images.values():  # of seven pictures in two lines, and of up to eight fields
        picture = tf.io.decode_png(value.tensor.string_val[2]).numpy()
        assert picture.shape[1] > 4 * 180 and picture.std() > 0
