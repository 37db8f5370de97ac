"""Configs as JSON text, those of older versions included."""

from __future__ import annotations

import functools
import json
import operator
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError

# Keys that older versions wrote, and where they are now.
_MOVED = {
    "model.initial_checkpoint": "train.initial_checkpoint",
    "model.initial_part": "train.initial_part",
    "model.embed_kernels": "train.embed_kernels",
    "fusion.keypoint_read": "fusion.refinement.keypoint_read",
    "fusion.voter_reach": "fusion.refinement.voter_reach_radii",
    "fusion.refine_reach": "fusion.refinement.start_reach_radii",
    "fusion.refine_middle_steps": "fusion.refinement.middle_steps",
    "fusion.refine_long": "fusion.refinement.long_range",
    "fusion.refine_long_threshold": "fusion.refinement.long_threshold",
    "fusion.min_vote": "fusion.voting.lightest_vote",
    "fusion.long_vote_weight": "fusion.voting.long_weight",
    "fusion.long_vote_every": "fusion.voting.long_every",
    "fusion.peak_window": "fusion.detection.peak_window_cells",
    "fusion.return_reach": "fusion.detection.return_reach_sizes",
    "fusion.rescore": "fusion.detection.rescore",
    "fusion.oks_kappa": "fusion.detection.oks_kappa",
    "fusion.detection_radius": "fusion.detection.radius_pixels",
    "fusion.detection_reach": "fusion.detection.reach_sizes",
    "fusion.claim_reach": "fusion.assignment.claim_reach_sizes",
}
# Keys that mean nothing any more, with the value that asked for nothing.
_GONE = {"fusion.assign_by": "distance", "data.skip_corrupt": False, "data.data_service": ""}


def config_to_json(config: ConfigDict) -> str:
    """JSON text of a config; `config_from_json` reads it back."""
    return json.dumps(config.to_dict(), indent=2)


def config_from_json(text: str, source: str = "config.json") -> ConfigDict:
    """`default_config()` with the values of a JSON text.

    Args:
      text: what `config_to_json` wrote, in this version or an older one: keys that have moved since
        are translated.
      source: names the text in errors.

    Raises:
      UserError: names the key that does not fit.
    """
    config = default_config()
    try:
        for key, value in _leaves(json.loads(text)):
            if key not in _GONE:
                set_value(config, _MOVED.get(key, key), value)
            elif value != _GONE[key]:
                logging.warning("%s: config.%s means nothing any more", source, key)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{source} does not fit this version's config: {reason}.") from error
    return config


def _leaves(values, prefix=""):
    """Yields (dotted key, value) of nested dicts."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def set_value(config: ConfigDict, key: str, value: Any) -> None:
    """Changes one value of a config.

    Args:
      config: changed in place.
      key: dotted, such as `fusion.peak_threshold`.
      value: of the type that is there; a list stands for a tuple.

    Raises:
      KeyError: there is no such value.
      TypeError: it is of another type.
    """
    *sections, name = key.split(".")
    try:
        section = functools.reduce(operator.getitem, sections, config)
        known = name in section and not isinstance(section[name], ConfigDict)
    except (KeyError, TypeError):
        known = False
    if not known:
        raise KeyError(f"unknown key config.{key}")
    section[name] = tuple(value) if isinstance(value, list) else value
