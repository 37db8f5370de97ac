"""Fonts for text in any script: class names in Chinese, Japanese and Korean, too.

matplotlib brings DejaVu Sans, which has Latin, Greek, Cyrillic, Arabic and more. What it lacks is
looked for among the fonts of the machine, such as Debian's fonts-noto-cjk, and in the PyPI package
cvttf-NotoSansCJK-Regular. Letters that no font has are written as their numbers: U+8ECA.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys

from PIL import ImageFont

_PACKAGE = "cvttf_NotoSansCJK_Regular"
# Of fonts that have a letter, those with such a name first: they are made for screens.
_PREFERRED = ("NotoSansCJK", "NotoSans", "SourceHanSans", "msyh", "PingFang", "Hiragino", "Malgun")


def font_for(text: str, size: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """What to draw for a text, and the font that has all its letters.

    Args:
      text: one line.
      size: in pixels.

    Returns:
      the text, with the numbers of those letters in it that no font has; the font.
    """
    path = _covering(frozenset(text))
    if path is None:
        _tell_once()
        text = "".join(_drawable(letter) for letter in text).strip()
        path = _default_path()
    return text, _load(path, size)


def _drawable(letter: str) -> str:
    return letter if ord(letter) in _letters(_default_path()) else f"U+{ord(letter):04X} "


@functools.lru_cache(maxsize=4096)
def _covering(letters: frozenset[str]) -> str | None:
    """Path of the first font that has all letters; None if none does."""
    if all(letter.isascii() for letter in letters):
        return _default_path()
    codes = {ord(letter) for letter in letters}
    if codes <= _letters(_default_path()):
        return _default_path()
    return next((path for path in _other_fonts() if codes <= _letters(path)), None)


@functools.cache
def _default_path() -> str:
    # Found without importing matplotlib, which takes a while.
    folder = os.path.dirname(importlib.util.find_spec("matplotlib").origin)
    return os.path.join(folder, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")


@functools.cache
def _other_fonts() -> tuple[str, ...]:
    """Paths of the machine's fonts, those preferred first."""
    # Imported here: most names need no other font, and matplotlib takes a while.
    from matplotlib import font_manager

    paths = set(font_manager.findSystemFonts())
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None and spec.origin:
        folder = os.path.dirname(spec.origin)
        paths |= set(font_manager.findSystemFonts([folder]))

    def rank(path):
        name = os.path.basename(path)
        known = (n for n, start in enumerate(_PREFERRED) if start.lower() in name.lower())
        return next(known, len(_PREFERRED)), "regular" not in name.lower(), path

    return tuple(sorted(paths, key=rank))


@functools.cache
def _letters(path: str) -> frozenset[int]:
    """The numbers of the letters that a font has; none if it cannot be read."""
    # As in `_other_fonts`.
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@functools.cache
def _load(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@functools.cache
def _tell_once() -> None:
    print(
        "no font of this machine has all letters of the class names, which are drawn as numbers; "
        "install fonts-noto-cjk (Debian) or cvttf-NotoSansCJK-Regular (PyPI)",
        file=sys.stderr,
    )
