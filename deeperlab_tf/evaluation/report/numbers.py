"""How numbers look in the page."""

from __future__ import annotations

import math


def percent(value: float | None, decimals: int = 1) -> str:
    """A share as a percentage without its sign; a dash for None and NaN."""
    return "–" if _is_missing(value) else f"{100 * value:.{decimals}f}"


def bar_share(value: float | None) -> str:
    """A share as the length of a bar, for CSS."""
    return "0" if _is_missing(value) else f"{value:.3f}"


def count(number: int, word: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def cell(value: float | None, decimals: int | None) -> str:
    """A number's cell in a table.

    Args:
      value: a count, or a share; NaN and None are missing.
      decimals: of the percentage, with a bar as long as the share; None: a count.
    """
    data = f'data-value="{"" if _is_missing(value) else value}"'
    if decimals is None:
        return f'<td class="number" {data}>{value}</td>'
    style = f"--share:{bar_share(value)}"
    return f'<td class="number bar" style="{style}" {data}>{percent(value, decimals)}</td>'


def _is_missing(value):
    return value is None or math.isnan(value)
