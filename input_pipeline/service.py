"""A tf.data service, whose workers on other machines prepare a training's batches."""

from __future__ import annotations

import socket

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError

_CONNECT_SECONDS = 10


def distribute(dataset: tf.data.Dataset, config: ConfigDict, address: str) -> tf.data.Dataset:
    """Lets the workers of a tf.data service prepare the batches; they need nothing but TensorFlow
    and the records.

    Each epoch is one worker's, so every image is seen once an epoch; batches come from all workers,
    in no repeatable order.

    Args:
      dataset: of batches.
      config: the full config.
      address: of the dispatcher, grpc://host:port.

    Raises:
      UserError: there are no records, or nobody answers at the address.
    """
    if not config.data.records:
        raise UserError("--data_service needs config.data.records; build records first.")
    host, separator, port = address.split("://")[-1].rpartition(":")
    if not separator or not port.isdigit():
        raise UserError(f"--data_service is {address!r}; give the dispatcher as grpc://host:port.")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except OSError as error:  # tf.data itself would try for an hour
        raise UserError(
            f"no tf.data service answers at {address} ({error}); "
            "start its dispatcher: scripts/data_service.py."
        ) from error
    service = tf.data.experimental.service
    share = service.distribute(service.ShardingPolicy.DYNAMIC, f"grpc://{host}:{port}")
    return dataset.apply(share)
