"""How an exported model holds up as a server: its start, and many clients at once."""

from __future__ import annotations

import concurrent.futures
import statistics
import time
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.memory import memory_mb
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.client import GrpcClient
from deeperlab_tf.export.serving_files import warmup_requests

CLIENTS, REQUESTS = 8, 48  # of the load test


def server_start(path: str, images: list[bytes], warm: bool) -> dict[str, Any]:
    """A row: what a server takes to the first answer.

    Args:
      path: folder of the SavedModel.
      images: one JPEG.
      warm: whether the export's warm-up requests come first.

    Returns:
      dict of `load_s`, `warm_up_s`, `first_answer_s`, `second_answer_s`.
    """
    start = time.perf_counter()
    module = tf.saved_model.load(path)
    loaded = time.perf_counter()
    if warm:
        for signature, inputs in warmup_requests(path):
            module.signatures[signature](**inputs)
    ready = time.perf_counter()

    answers = []
    for _ in range(2):
        before = time.perf_counter()
        module.signatures["image_bytes"](image_bytes=tf.constant(images))["panoptic"].numpy()
        answers.append(time.perf_counter() - before)
    return dict(
        form="server start",
        warm_up=warm,
        load_s=loaded - start,
        warm_up_s=ready - loaded,
        first_answer_s=answers[0],
        second_answer_s=answers[1],
    )


def load_test(path: str, images: list[bytes]) -> dict[str, Any]:
    """A row: `CLIENTS` clients at once on a server in this process.

    Args:
      path: folder of the SavedModel.
      images: JPEGs, which the requests take in turns.

    Returns:
      dict of `clients`, `requests`, `failed`, `images_per_s`, `p50_ms`, `p90_ms`, `peak_mb`.
    """
    # Imported here: all else here does without tensorflow-serving-api.
    from benchmarks.local_server import LocalServer

    def ask(index: int) -> float | None:
        """Milliseconds to the answer; None without one."""
        start = time.perf_counter()
        try:
            clients[index % CLIENTS]([images[index % len(images)]])
        except UserError:
            return None
        return 1000 * (time.perf_counter() - start)

    with (
        LocalServer(path, "benchmark") as server,
        concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool,
    ):
        clients = [GrpcClient(server.address, "benchmark", timeout=600) for _ in range(CLIENTS)]
        ask(0)
        start = time.perf_counter()
        times = list(pool.map(ask, range(REQUESTS)))
        seconds = time.perf_counter() - start

    good = [value for value in times if value is not None]
    return dict(
        form="server",
        clients=CLIENTS,
        requests=REQUESTS,
        failed=REQUESTS - len(good),
        images_per_s=len(good) / seconds,
        p50_ms=statistics.median(good),
        p90_ms=float(np.percentile(good, 90)),
        peak_mb=memory_mb("VmHWM"),
    )
