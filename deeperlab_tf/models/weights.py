"""A network's weights in half the space: kernels in half precision, the few others in full.

The file is NumPy's .npz, from variable names to arrays; nothing in it is unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

if TYPE_CHECKING:
    from deeperlab_tf.compat import keras

Weights = Mapping[str, np.ndarray]  # float32, by the names of the variables without ":0"

_MOST_TIMES = 100  # that weights shrink: all zeros shrink a thousandfold
_SMALL = 2**26  # bytes that are never too many
_HALVED_FROM = 2  # axes: kernels; batch norm's moments may lie beyond half precision's range


# === The file ===


def write_weights(path: str, network: keras.Model) -> None:
    """Writes the variables of a network into an .npz file."""
    stored = {name: _stored(value) for name, value in weights_of(network).items()}
    np.savez_compressed(path, **stored)


def read_weights(path: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by the names of the variables, float32.

    Raises:
      UserError: the file is missing or broken.
    """
    try:
        with storage.open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            check_inflated(file, storage.getsize(path))
            return {name: file[name].astype(np.float32) for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"the weights {path} cannot be read ({error}); fetch them again."
        ) from error


def check_inflated(file: np.lib.npyio.NpzFile, size: int) -> None:
    """Fails if arrays would take very much more room than their file: weights hardly shrink.

    Args:
      file: as NumPy has opened it; what its list says, reading does not exceed.
      size: bytes of the file.

    Raises:
      ValueError: says how much.
    """
    inflated = sum(entry.file_size for entry in file.zip.infolist())
    if inflated > _MOST_TIMES * size + _SMALL:
        raise ValueError(f"its {size} bytes would become {inflated}")


def fill(network: keras.Model, weights: Weights, source: str) -> None:
    """Assigns weights to a network: all of them, or none.

    Args:
      network: keras.Model.
      weights: of `read_weights`.
      source: names them in errors.

    Raises:
      UserError: one is missing, left over or of another shape.
    """
    shapes = {_name(variable): tuple(variable.shape) for variable in network.variables}
    found = {name: value.shape for name, value in weights.items()}
    if shapes != found:
        wrong = sorted(name for name in {*shapes, *found} if shapes.get(name) != found.get(name))
        raise UserError(
            f"{source} is of another network than its config: {len(wrong)} variables differ, "
            f"{wrong[0]} for one; use the config that it came with."
        )
    for variable in network.variables:
        variable.assign(weights[_name(variable)])


def weights_of(network: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a network by the names of its variables."""
    return {_name(variable): variable.numpy() for variable in network.variables}


def _name(variable):
    return variable.name.split(":")[0]


def _stored(value):
    """A variable as it is in the file."""
    if value.ndim < _HALVED_FROM:
        return value
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    # A kernel that half precision cannot hold stays whole.
    return half if np.isfinite(half).all() else value


# === Batch norm folded into the convolution before it ===


class Norm(NamedTuple):
    """A batch norm of a trained network; each array is [C].

    Attributes:
      gamma, beta: scale and shift; None: 1 and 0.
      mean, variance: the moving ones.
      epsilon: what is added to the variance.
    """

    gamma: np.ndarray | None
    beta: np.ndarray | None
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float


def fold(kernel: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """A convolution's kernel and bias after which there is no need of its batch norm.

    y = gamma · (conv(x, w) − mean) / sqrt(variance + epsilon) + beta
      = conv(x, w · s) + (beta − mean · s), with s = gamma / sqrt(variance + epsilon),

    one factor s per output channel.

    Args:
      kernel: [k, k, C', C], or of a depthwise convolution [k, k, C, 1].
      norm: the batch norm that directly follows it.

    Returns:
      kernel of the same shape and bias [C], float32; computed in float64.
    """
    gamma = 1.0 if norm.gamma is None else norm.gamma.astype(np.float64)
    scale = gamma / np.sqrt(norm.variance.astype(np.float64) + norm.epsilon)
    beta = 0.0 if norm.beta is None else norm.beta.astype(np.float64)
    bias = beta - norm.mean.astype(np.float64) * scale

    is_depthwise = kernel.shape[-1] != scale.size
    factor = scale[:, np.newaxis] if is_depthwise else scale
    folded = kernel.astype(np.float64) * factor
    return folded.astype(np.float32), bias.astype(np.float32)
