"""The programs as commands: `deeperlab-train` is train.py of this folder, started as by its path.

A wheel holds the folder as the package `deeperlab_programs`; see setup.py.
"""

from __future__ import annotations

import functools
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def __getattr__(name: str) -> Callable[[], None]:
    """The function that runs NAME.py of this folder."""
    if not (_HERE / f"{name}.py").is_file():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return functools.partial(_run, name)


def _run(name: str) -> None:
    # Programs import what they share from their own folder.
    sys.path.insert(0, str(_HERE))
    runpy.run_path(str(_HERE / f"{name}.py"), run_name="__main__")
