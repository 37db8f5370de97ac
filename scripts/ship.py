"""Makes the folder of a model that ships from a trained run: weights in half precision, a graph
that starts fast, a card, checksums.

python scripts/ship.py --workdir=runs/street --name=street --about=experiments/street.md \\
    --metrics=evaluations/street/metrics.json --output=deeperlab_tf/models/street --replace

The weights are the moving average of the training, where it kept one.
"""

from __future__ import annotations

from typing import Any

from absl import flags, logging

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import read_json

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a training.")
BEST = flags.DEFINE_bool("best", False, "Its best checkpoint instead of its newest.")
NAME = flags.DEFINE_string("name", None, "What people call the model.")
ABOUT = flags.DEFINE_string(
    "about",
    None,
    "Markdown file for the card: what the model is for, the data and their terms, its limits.",
)
METRICS = flags.DEFINE_string("metrics", None, "metrics.json of its evaluation, for the card.")
OUTPUT = flags.DEFINE_string("output", None, "Folder to write.")
REPLACE = flags.DEFINE_bool("replace", False, "Replace the shipped model that is there.")

_RUN_FILE = "run.json"


def main() -> None:
    if storage.exists(OUTPUT.value) and not REPLACE.value:
        raise UserError(f"{OUTPUT.value} exists already; choose another --output, or --replace it.")
    about = _read_text(ABOUT.value)
    metrics = _read_metrics() if METRICS.value else None
    # Imported here: mistakes in flags need not wait for TensorFlow.
    from deeperlab_tf.export.card import Facts, write_card
    from deeperlab_tf.export.shipping import ship
    from deeperlab_tf.training.workdir import load_run

    run = load_run(WORKDIR.value, BEST.value)
    # What TensorFlow says while it traces concerns nobody.
    logging.set_verbosity(logging.ERROR)
    _, config, dataset = run
    card = write_card(Facts(NAME.value, about, config, dataset, _provenance(), metrics))
    ship(run, OUTPUT.value, card, metrics, REPLACE.value)

    names = storage.listdir(OUTPUT.value)
    size = sum(storage.getsize(storage.join(OUTPUT.value, name)) for name in names)
    print(f"wrote {OUTPUT.value} ({size / 1e6:.2f} MB)")


def _read_text(path: str) -> str:
    try:
        with storage.open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}); give a Markdown file.") from error


def _read_metrics() -> dict[str, Any]:
    metrics = read_json(METRICS.value, "metrics")
    if not isinstance(metrics, dict) or not {"pq", "per_class", "num_images"} <= metrics.keys():
        raise UserError(
            f"{METRICS.value} holds no metrics; give the metrics.json of scripts/evaluate.py."
        )
    # Where the training lay on this machine concerns nobody.
    return {**metrics, "model": NAME.value}


def _provenance() -> dict[str, Any]:
    """run.json of the training, empty where there is none."""
    path = storage.join(WORKDIR.value, _RUN_FILE)
    return read_json(path, "run's origin") if storage.isfile(path) else {}


if __name__ == "__main__":
    cli.run(main, required=("workdir", "name", "about", "output"))
