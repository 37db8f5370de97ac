"""Trains the network of the paper (Fig. 2) with its losses (Sec. 3.3)."""

from deeperlab_tf.losses import LOSSES, total_loss
from deeperlab_tf.model import build_model
from deeperlab_tf.training.loop import fit


def train(config, workdir, dataset, make_train_data, **options):
    """Trains the network of `config.model` with the losses of the paper.

    Args:
      config, workdir, dataset, make_train_data: as of `fit`.
      options: the others of `fit`.

    Returns:
      The trained network.

    Raises:
      UserError: for bad config values or a folder of another run.
    """
    return fit(
        config,
        workdir,
        dataset,
        make_train_data,
        lambda: build_model(config.model, dataset),
        total_loss,
        LOSSES,
        **options,
    )
