"""The whole parse as one graph that runs without Python: image in, network, fusion, parse out.

The graph is kept apart from the weights: they take the place of its placeholders when it is loaded,
batch norm folded into the convolutions. `tracing.trace_parse` makes it. Its names are fixed:

  images          uint8 [1, H, W, 3], an image of any size
  network_input   uint8 [1, H', W', 3], the same as `prepare_images` gives it
  heads/NAME      the network's five heads
  parse/NAME      what `parse_images` gives
  weights/NAME    variables of the folded network
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.models.weights import Norm, Weights, fold
from deeperlab_tf.prediction.c_library import Session

GRAPH_FILE = "graph.pb.gz"
LAYERS_FILE = "graph.json"

IMAGES, NETWORK_INPUT = "images", "network_input"
HEADS = (
    "semantic_logits",
    "keypoint_logits",
    "short_offsets",
    "middle_offsets",
    "long_offsets",
)
PARSE = (
    "semantic",
    "instance",
    "panoptic",
    "instance_class",
    "instance_score",
    "instance_box",
    "instance_keypoints",
    "num_instances",
)

Arrays = dict[str, np.ndarray]

_MOST = 2**26  # bytes of a graph without its weights, which has some hundred thousand


class GraphFile(NamedTuple):
    """A traced parse without its weights.

    Attributes:
      graph: a serialised GraphDef.
      variables: names of the folded network's variables, its placeholders `weights/NAME`.
      norms: of each convolution that took in a batch norm, that one's name and epsilon.
    """

    graph: bytes
    variables: Sequence[str]
    norms: dict[str, tuple[str, float]]

    def write(self, folder: str) -> None:
        """Writes `GRAPH_FILE` and `LAYERS_FILE` into a folder."""
        with storage.open(storage.join(folder, GRAPH_FILE), "wb") as file:
            file.write(gzip.compress(self.graph, mtime=0))
        layers = dict(variables=self.variables, norms=self.norms)
        with storage.open(storage.join(folder, LAYERS_FILE), "w", encoding="utf-8") as file:
            json.dump(layers, file, indent=1)

    @classmethod
    def read(cls, folder: str) -> GraphFile:
        """What `write` wrote.

        Raises:
          UserError: a file is missing or broken.
        """
        try:
            with storage.open(storage.join(folder, GRAPH_FILE), "rb") as file:
                graph = gzip.GzipFile(fileobj=file).read(_MOST + 1)
            if len(graph) > _MOST:
                raise ValueError(f"it has more than {_MOST} bytes")
            with storage.open(storage.join(folder, LAYERS_FILE), encoding="utf-8") as file:
                layers = json.load(file)
            return cls(graph, layers["variables"], layers["norms"])
        except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
            raise UserError(
                f"the graph in {folder} cannot be read ({error}); fetch it again."
            ) from error

    def constants(self, weights: Weights) -> Arrays:
        """Values of the placeholders.

        Args:
          weights: of the network as it was trained.

        Returns:
          dict `weights/NAME` -> float32 array.
        """
        values = dict(weights)
        for layer, (norm, epsilon) in self.norms.items():
            kernel = next(name for name in _kernels(layer) if name in weights)
            moments = _moments(weights, norm, epsilon)
            values[kernel], values[f"{layer}/bias"] = fold(weights[kernel], moments)
        return {f"weights/{name}": values[name] for name in self.variables}


class ParseGraph:
    """A traced parse with its weights, ready to run: one image at a time, in any thread.

    Args:
      file: the graph.
      weights: of the network as it was trained.

    Raises:
      CLibraryError: TensorFlow's C library is missing, or does not take the graph.
    """

    def __init__(self, file: GraphFile, weights: Weights) -> None:
        self._session = Session(file.graph, file.constants(weights))

    def parse(self, images: np.ndarray) -> Arrays:
        """uint8 [B, H, W, 3] -> the dict of `inference.parse_images`, as arrays."""
        return self._run(IMAGES, images, "parse", PARSE)

    def heads(self, images: np.ndarray) -> Arrays:
        """uint8 [B, H, W, 3] -> the raw heads of `inference.prepare_images`."""
        return self._run(IMAGES, images, "heads", HEADS)

    def network(self, prepared: np.ndarray) -> Arrays:
        """uint8 [B, H', W', 3], sides 16k + 1 -> the raw heads."""
        return self._run(NETWORK_INPUT, prepared, "heads", HEADS)

    def _run(self, source, images, kind, names):
        fetches = [f"{kind}/{name}" for name in names]
        outputs = []
        for image in np.asarray(images):
            outputs.append(self._session.run({source: image[np.newaxis]}, fetches))
        return {
            name: np.concatenate([output[fetch] for output in outputs])
            for name, fetch in zip(names, fetches)
        }


def _kernels(layer):
    """Names that the kernel of a convolution may have."""
    return f"{layer}/kernel", f"{layer}/depthwise_kernel"


def _moments(weights, norm, epsilon):
    """The `Norm` of a batch norm's name; scale and shift may be missing."""
    gamma, beta = weights.get(f"{norm}/gamma"), weights.get(f"{norm}/beta")
    mean, variance = weights[f"{norm}/moving_mean"], weights[f"{norm}/moving_variance"]
    return Norm(gamma, beta, mean, variance, epsilon)
