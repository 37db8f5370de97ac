"""Published ImageNet checkpoints of TF1 slim (`xception_71`, `xception_65`, `MobilenetV2`), read by
variable name.

The layouts of the tensors are Keras' own; only the names differ. Where a checkpoint has moving
averages of a variable (`…/ExponentialMovingAverage`), these are taken, as they were for evaluation.
Optimizer slots, `global_step` and the classifier's `logits` are left out.
"""

import re

from absl import logging

from deeperlab_tf.backbones.checkpoint_file import CheckpointFile, fill

_MOVING_AVERAGE = "ExponentialMovingAverage"
_KERNELS = {"kernel": "weights", "depthwise_kernel": "depthwise_weights"}  # Keras' name: slim's


def load_slim_checkpoint(backbone, path, embed_kernels=False):
    """Fills a backbone from a checkpoint written by TF1 slim.

    Args:
      backbone: keras.Model of `build_backbone`.
      path: the checkpoint's prefix, one of its files or its folder.
      embed_kernels: put its 3x3 kernels into the centre of the backbone's 5x5 or 7x7 ones, filled
        up with zeros.

    Raises:
      UserError: the checkpoint is broken, or lacks variables of the backbone, which are then left
        as they were.
    """
    file = CheckpointFile(path)
    names = [slim_name(backbone.name, variable.name) for variable in backbone.variables]
    keys = [_key(file, name) for name in names]
    fill(list(zip(backbone.variables, names, keys)), file, embed_kernels)
    averaged = sum(key.endswith(_MOVING_AVERAGE) for key in keys)
    logging.info(
        "%s: %d variables from %s, %d of them moving averages; %d other tensors left out",
        backbone.name,
        len(keys),
        file.path,
        averaged,
        len(file.shapes) - len(keys),
    )


def slim_name(architecture, name):
    """The published name of a variable of a backbone.

    Args:
      architecture: name of the backbone.
      name: of the Keras variable, such as `block_3_depthwise_bn/gamma:0`.
    """
    layer, kind = name.split(":")[0].split("/")
    batch_norm = layer.endswith("_bn")
    layer = layer[: -len("_bn")] if batch_norm else layer
    scope = (
        _mobilenet_scope(layer)
        if architecture == "mobilenet_v2"
        else f"{architecture}/{_xception_scope(layer)}"
    )
    if batch_norm:
        return f"{scope}/BatchNorm/{kind}"
    return f"{scope}/{_KERNELS[kind]}"


def _mobilenet_scope(layer):
    """`stem` → `MobilenetV2/Conv`, `block_0_project` → `MobilenetV2/expanded_conv/project`."""
    if layer == "stem":
        return "MobilenetV2/Conv"
    index, part = re.fullmatch(r"block_(\d+)_(\w+)", layer).groups()
    return f"MobilenetV2/expanded_conv{'' if index == '0' else '_' + index}/{part}"


def _xception_scope(layer):
    """`entry_flow_block1_unit_1_shortcut` → `entry_flow/block1/unit_1/xception_module/shortcut`."""
    stem = re.fullmatch(r"entry_flow_(conv1_\d)", layer)
    if stem:
        return f"entry_flow/{stem[1]}"
    flow, block, unit, part = re.fullmatch(
        r"(\w+_flow)_(block\d+)_(unit_\d+)_(\w+)", layer
    ).groups()
    return f"{flow}/{block}/{unit}/xception_module/{part}"


def _key(file, name):
    """Key of a variable, its moving average first; None if the checkpoint has neither."""
    return next((key for key in (f"{name}/{_MOVING_AVERAGE}", name) if key in file.shapes), None)
