"""A page to try a model on one's own photos, in the browser.

python scripts/demo.py --model=street
python scripts/demo.py --model=runs/shapes --port=8080

Needs the extra `demo` (pip install -e .[demo]). The page is for this machine alone: --host=0.0.0.0
shows it to whoever can reach it. Photos stay on the machine and are removed in the end.
"""

from __future__ import annotations

import ipaddress
import signal
import threading

from absl import flags

from deeperlab_tf import cli, models
from deeperlab_tf.files import storage
from demo_page.photos import Limits

_DEFAULTS = Limits()

MODEL = flags.DEFINE_string(
    "model", None, "A shipped model's name, workdir of a training, or folder of an export."
)
HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "Address to listen at; 0.0.0.0: all of this machine's."
)
PORT = flags.DEFINE_integer(
    "port", 7860, "Port to listen at; 0: any that is free.", lower_bound=0, upper_bound=65535
)
MAX_MEGABYTES = flags.DEFINE_integer(
    "max_megabytes", _DEFAULTS.megabytes, "Largest file that is taken.", lower_bound=1
)
MAX_MEGAPIXELS = flags.DEFINE_integer(
    "max_megapixels", _DEFAULTS.megapixels, "Largest photo that is decoded.", lower_bound=1
)
QUEUE = flags.DEFINE_integer(
    "queue", _DEFAULTS.queue, "Requests that may wait at a time.", lower_bound=1
)


def main() -> None:
    models.find(MODEL.value)
    # Imported here: --help and mistakes need not wait for Gradio and TensorFlow.
    from deeperlab_tf.prediction.kept_heads import HeadKeeper
    from deeperlab_tf.prediction.predictor import Predictor
    from demo_page.server import Address, serve

    keeper = HeadKeeper(Predictor(MODEL.value))
    limits = _DEFAULTS._replace(
        megabytes=MAX_MEGABYTES.value, megapixels=MAX_MEGAPIXELS.value, queue=QUEUE.value
    )
    name = storage.basename(storage.normpath(MODEL.value))
    address = Address(HOST.value, PORT.value)
    with serve(keeper, limits, address, f"DeeperLab: {name}") as url:
        # While the first photo is looked for.
        threading.Thread(target=keeper.warm_up, daemon=True).start()
        print(f"open {url} in a browser; Ctrl-C ends the page", flush=True)
        if not _is_private(HOST.value):
            print("whoever can reach this machine can use it; it asks for no password", flush=True)
        _wait()


def _wait():
    """Until Ctrl-C, or until the program is told to end; then the visitors' files are removed."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def _is_private(host):
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    cli.run(main, required=("model",))
