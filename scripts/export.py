"""Exports a trained run as a SavedModel for TF Serving.

python scripts/export.py --workdir=runs/shapes --output=exports/shapes/1
saved_model_cli show --dir exports/shapes/1 --all
"""

from absl import flags, logging

from deeperlab_tf import cli
from deeperlab_tf.export.saved_model import export_saved_model
from deeperlab_tf.training.checkpoints import load_run

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a training.")
OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the SavedModel; must not exist. TF Serving wants .../NAME/VERSION."
)


def main():
    network, config, dataset = load_run(WORKDIR.value)
    logging.set_verbosity(logging.ERROR)  # what TensorFlow says while it saves concerns nobody
    export_saved_model(network, config, dataset, OUTPUT.value)
    print(f"wrote the SavedModel {OUTPUT.value}")


if __name__ == "__main__":
    cli.run(main, required=("workdir", "output"))
