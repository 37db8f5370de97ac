"""Values of description files, which YAML gives as text and JSON as what they are."""

from __future__ import annotations

import math
import reprlib
import typing

_LARGEST = 2**31 - 1  # of ids, which are int32 in masks


class FaultyValue(Exception):
    """What is wrong, in a sentence that does not yet name the file."""


def to_whole(value: typing.Any) -> int | None:
    """A whole number, at least 0 and below 2^31, or None: of `7`, `7.0` and the text `7`.

    Not of `010`, which is 8 to some readers and 10 to others, nor of True.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        is_plain = value.isascii() and value.isdigit() and value == (value.lstrip("0") or "0")
        value = int(value) if is_plain and len(value) <= len(str(_LARGEST)) else None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= _LARGEST else None


def to_name(value: typing.Any) -> str | None:
    """The name of a class, or None if it is none: of text, and of a number as it is written."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip() or None


def to_color(value: typing.Any) -> tuple[int, int, int] | None:
    """(r, g, b) of three whole numbers 0-255, or of the text `#rrggbb`; else None."""
    if isinstance(value, str) and len(value) == 7 and value[0] == "#":
        try:
            value = list(bytes.fromhex(value[1:]))
        except ValueError:
            return None
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return None
    channels = tuple(to_whole(channel) for channel in value)
    return channels if all(c is not None and c < 256 for c in channels) else None


def to_number(value: typing.Any) -> float | None:
    """A finite number that is not a bool, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def shown(value: typing.Any) -> str:
    """A value in an error, cut where it is long."""
    return reprlib.repr(value)
