"""Fills variables of a model from a file of weights: all of them, or none."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from absl import logging

from deeperlab_tf.errors import UserError

_NAMES_SHOWN = 20
_SCOPES_SHOWN = 5
_KEYPOINT_HEADS = ("keypoint_logits", "short_offsets", "middle_offsets", "long_offsets")


class WeightsFile(Protocol):
    """A file of weights, whatever its format.

    Attributes:
      path: what errors call it.
    """

    path: str

    def keys_by_name(self) -> dict[str, str]:
        """dict from the names of its variables to the keys of their tensors."""

    def read(self, key: str) -> np.ndarray:
        """The tensor of a key."""


class Slot(NamedTuple):
    """A variable that a tensor of a file is for.

    Attributes:
      variable: of the model.
      name: the variable's in the file.
      key: of its tensor in the file; None where it is missing.
    """

    variable: tf.Variable
    name: str
    key: str | None


def fill(slots: list[Slot], file: WeightsFile, embed_kernels: bool = False) -> int:
    """Assigns tensors of a file to variables: all of them, or none.

    Args:
      slots: what to fill.
      file: where the tensors are.
      embed_kernels: put smaller kernels into the centre of the variables' larger ones, filled up
        with zeros.

    Returns:
      Number of kernels that were embedded.

    Raises:
      UserError: a variable is missing, or has another shape.
    """
    _check_complete(slots, file)
    values = []
    embedded = 0
    for slot in slots:
        value = file.read(slot.key)
        shape = slot.variable.shape
        if value.shape != shape:
            _check_embeddable(slot, value.shape, file, embed_kernels)
            value = _embed(value, shape)
            embedded += 1
        values.append(value)

    for slot, value in zip(slots, values):
        slot.variable.assign(tf.cast(value, slot.variable.dtype))
    if embedded:
        logging.warning(
            "%d kernels of %s were embedded in the centre of larger ones filled up with zeros: "
            "a start with the same features as the small ones', "
            "not a pretraining of the larger ones",
            embedded,
            file.path,
        )
    return embedded


def _check_complete(slots: list[Slot], file: WeightsFile) -> None:
    missing = [slot.name for slot in slots if slot.key is None]
    if not missing:
        return
    shown = ", ".join(missing[:_NAMES_SHOWN])
    if len(missing) > _NAMES_SHOWN:
        shown += f" and {len(missing) - _NAMES_SHOWN} more"
    raise UserError(
        f"checkpoint {file.path} is not of this architecture: {len(missing)} of {len(slots)} "
        f"variables are missing, {shown}; it holds {_contents(file)}."
    )


def _check_embeddable(
    slot: Slot, found: tuple[int, ...], file: WeightsFile, embed_kernels: bool
) -> None:
    """Raises UserError unless a tensor of shape `found` may, and can, be embedded in a variable."""
    wanted = tuple(slot.variable.shape)
    if not _fits_inside(found, wanted):
        raise UserError(
            f"checkpoint {file.path} has {slot.name} in shape {found} where the model has "
            f"{wanted}; {_advice(slot.name)}."
        )
    if not embed_kernels:
        raise UserError(
            f"checkpoint {file.path} has kernels of {found[0]} where the model has {wanted[0]} "
            f"({slot.name}); --config.train.embed_kernels puts the small ones into the centre."
        )


def _advice(name: str) -> str:
    """What to do about a variable whose shape does not fit."""
    if name.startswith("semantic_logits_conv/"):
        return (
            "it was trained on another number of classes, "
            "and --config.train.initial_part=all_but_classes takes everything else"
        )
    if name.startswith(tuple(f"{head}_conv/" for head in _KEYPOINT_HEADS)):
        return (
            "it was trained with another config.model.keypoint_graph: use the same, "
            "or take its backbone alone by --config.train.initial_part=backbone"
        )
    return "use the width and kernel size it was trained with"


def _contents(file: WeightsFile) -> str:
    """What a file seems to be of: the outermost names of its variables."""
    scopes = sorted({name.split("/")[0] for name in file.keys_by_name() if "/" in name})
    if not scopes:
        return "no variables"
    more = " …" if len(scopes) > _SCOPES_SHOWN else ""
    return f"variables of {', '.join(scopes[:_SCOPES_SHOWN])}{more}"


def _fits_inside(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether a kernel [k, k, …] of shape `small` fits into the middle of one of shape `large`."""
    if not len(small) == len(large) == 4 or small[2:] != large[2:]:
        return False
    return all(a <= b and (b - a) % 2 == 0 for a, b in zip(small[:2], large[:2]))


def _embed(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    margins = [((large - small) // 2,) * 2 for small, large in zip(kernel.shape, shape)]
    return np.pad(kernel, margins)
