"""What one decides after a training: values of the config that leave the network as it is.

Where the data lie, how the heads are fused, which size images take. Everything else, the network
has learned with.
"""

from __future__ import annotations

import difflib
import functools
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from deeperlab_tf.config import check_config
from deeperlab_tf.config_json import config_from_json, config_to_json, set_value
from deeperlab_tf.errors import UserError

Overrides = Mapping[str, Any]  # dotted key without "config.", such as fusion.nms_iou -> new value

# Which size an image takes on its way into the network; see `image_size`.
SIZE_KEYS = ("data.longer_side", "eval.image_size", "eval.pad_to_size")

_LEARNED_SECTIONS = ("model", "train", "pretrain")
# These stand in other sections, too.
_LEARNED_NAMES = ("keypoint_radius", "keypoint_graph")


def override_config(config: ConfigDict, overrides: Overrides) -> ConfigDict:
    """A copy of a trained model's config with other values.

    Args:
      config: the whole config; stays as it is.
      overrides: the values to change.

    Raises:
      UserError: an unknown key, a value that does not fit it, or one that the network was trained
        with.

    Example:
      >>> config = override_config(default_config(), {"fusion.peak_threshold": 0.2})
      >>> config.fusion.peak_threshold
      0.2
    """
    changed = config_from_json(config_to_json(config))
    for key, value in overrides.items():
        try:
            set_value(changed, key, value)
        except KeyError as error:
            raise UserError(_unknown(key, config)) from error
        except (TypeError, ValueError) as error:
            there = type(_value(config, key)).__name__
            raise UserError(f"config.{key} takes a {there}, not {value!r}.") from error
    for key in overrides:
        if _is_learned(key) and _value(changed, key) != _value(config, key):
            raise UserError(
                f"config.{key} is {_value(config, key)!r} in this model, which was trained with "
                "it; leave it as it is, or train another one."
            )
    return check_config(changed)


def changed_parse(old: ConfigDict, new: ConfigDict) -> list[str]:
    """The keys, of those that differ, on which the way from an image to its parse depends."""
    return [*changed_sizes(old, new), *_different(old, new, _keys(old.fusion, "fusion"))]


def changed_sizes(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Those of `SIZE_KEYS` that differ."""
    return _different(old, new, SIZE_KEYS)


def _different(old: ConfigDict, new: ConfigDict, keys: Iterable[str]) -> list[str]:
    return [key for key in keys if _value(old, key) != _value(new, key)]


def _keys(section: ConfigDict, prefix: str) -> Iterator[str]:
    """Dotted keys of all values in a section."""
    for name, value in section.items():
        if isinstance(value, ConfigDict):
            yield from _keys(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}"


def _value(config, key):
    return functools.reduce(operator.getitem, key.split("."), config)


def _is_learned(key):
    *sections, name = key.split(".")
    return sections[0] in _LEARNED_SECTIONS or name in _LEARNED_NAMES


def _unknown(key, config):
    known = [known for section in config for known in _keys(config[section], section)]
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean config.{near[0]}?" if near else "."
    return f"the config has no value config.{key}{hint}"
