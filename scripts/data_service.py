"""A tf.data service: other machines' processors prepare a training's batches from records.

# The dispatcher, once.
python scripts/data_service.py --port=5050
# A worker, on as many machines as wanted.
python scripts/data_service.py --dispatcher=HOST:5050 --port=5051
python scripts/train.py ... --config.data.records=RECORDS --data_service=grpc://HOST:5050

Workers read the records themselves: the folder must have the same path everywhere. Runs until
interrupted.
"""

from __future__ import annotations

from deeperlab_tf import cli  # isort: skip - first, for it quiets TensorFlow's start-up banners

import tensorflow as tf
from absl import flags

from deeperlab_tf.errors import UserError

PORT = flags.DEFINE_integer(
    "port", 0, "Port to listen on; 0: any free one.", lower_bound=0, upper_bound=2**16 - 1
)
DISPATCHER = flags.DEFINE_string(
    "dispatcher", "", "host:port of the dispatcher: be a worker; default: be it."
)
ADDRESS = flags.DEFINE_string(
    "address", "localhost", "This machine's name, under which others reach a worker."
)


service = tf.data.experimental.service


def main() -> None:
    try:
        server = start_worker() if DISPATCHER.value else start_dispatcher()
    except (tf.errors.OpError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot start ({reason}); is the port {PORT.value} free?") from error
    server.join()


def start_dispatcher() -> service.DispatchServer:
    config = service.DispatcherConfig(port=PORT.value)
    server = service.DispatchServer(config)
    print(f"dispatcher at {server.target}", flush=True)
    return server


def start_worker() -> service.WorkerServer:
    # TensorFlow replaces %port% by the port it finds free.
    address = f"{ADDRESS.value}:{PORT.value or '%port%'}"
    config = service.WorkerConfig(
        dispatcher_address=DISPATCHER.value.split("://")[-1],
        worker_address=address,
        port=PORT.value,
    )
    server = service.WorkerServer(config)
    print(f"a worker of {DISPATCHER.value} is ready", flush=True)
    return server


if __name__ == "__main__":
    cli.run(main)
