"""Published ImageNet checkpoints of TF1 slim: `xception_71`, `xception_65`, `MobilenetV2`.

They are read by the names of their variables; the layouts of the tensors are Keras' own. Where a
checkpoint has moving averages of a variable (`…/ExponentialMovingAverage`), these are taken, as in
its evaluation. Optimizer slots, `global_step` and the classifier's `logits` are left out.
"""

from __future__ import annotations

import re

from absl import logging

from deeperlab_tf.backbones.checkpoint_file import CheckpointFile
from deeperlab_tf.backbones.slots import Slot, fill
from deeperlab_tf.compat import keras

_MOVING_AVERAGE = "ExponentialMovingAverage"
_KERNELS = {"kernel": "weights", "depthwise_kernel": "depthwise_weights"}  # Keras' name: slim's


def load_slim_checkpoint(backbone: keras.Model, path: str, embed_kernels: bool = False) -> None:
    """Fills a backbone from a checkpoint written by TF1 slim.

    Args:
      backbone: keras.Model of `build_backbone`.
      path: the checkpoint's prefix, one of its files or its folder.
      embed_kernels: put its 3x3 kernels into the centre of the backbone's 5x5 or 7x7 ones, filled
        up with zeros.

    Raises:
      UserError: the checkpoint is broken, or lacks variables of the backbone, which are then left
        as they were.

    Example:
      backbone = build_backbone("xception_65")
      load_slim_checkpoint(backbone, "xception_65_imagenet/model.ckpt")
    """
    file = CheckpointFile(path)
    slots = []
    for variable in backbone.variables:
        name = slim_name(backbone.name, variable.name)
        slots.append(Slot(variable, name, _key(file, name)))
    fill(slots, file, embed_kernels)
    averaged = sum(slot.key.endswith(_MOVING_AVERAGE) for slot in slots)
    logging.info(
        "%s: %d variables from %s, %d of them moving averages; %d other tensors left out",
        backbone.name,
        len(slots),
        file.path,
        averaged,
        len(file.shapes) - len(slots),
    )


def slim_name(architecture: str, name: str) -> str:
    """The published name of a variable of a backbone.

    Args:
      architecture: name of the backbone.
      name: of the Keras variable, such as `block_3_depthwise_bn/gamma:0`.
    """
    layer, kind = name.split(":")[0].split("/")
    is_batch_norm = layer.endswith("_bn")
    if is_batch_norm:
        layer = layer[: -len("_bn")]
    if architecture == "mobilenet_v2":
        scope = f"MobilenetV2/{_mobilenet_scope(layer)}"
    else:
        scope = f"{architecture}/{_xception_scope(layer)}"
    return f"{scope}/BatchNorm/{kind}" if is_batch_norm else f"{scope}/{_KERNELS[kind]}"


def _mobilenet_scope(layer: str) -> str:
    """`stem` → `Conv`, `block_0_project` → `expanded_conv/project`."""
    if layer == "stem":
        return "Conv"
    index, part = re.fullmatch(r"block_(\d+)_(\w+)", layer).groups()
    suffix = "" if index == "0" else f"_{index}"
    return f"expanded_conv{suffix}/{part}"


def _xception_scope(layer: str) -> str:
    """`entry_flow_block1_unit_1_shortcut` → `entry_flow/block1/unit_1/xception_module/shortcut`."""
    stem = re.fullmatch(r"entry_flow_(conv1_\d)", layer)
    if stem:
        return f"entry_flow/{stem[1]}"
    names = re.fullmatch(r"(\w+_flow)_(block\d+)_(unit_\d+)_(\w+)", layer)
    flow, block, unit, part = names.groups()
    return f"{flow}/{block}/{unit}/xception_module/{part}"


def _key(file: CheckpointFile, name: str) -> str | None:
    """Key of a variable, its moving average first; None if the checkpoint has neither."""
    for key in (f"{name}/{_MOVING_AVERAGE}", name):
        if key in file.shapes:
            return key
    return None
