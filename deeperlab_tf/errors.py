"""What is said to the person at the keyboard: errors, and names that lead somewhere for them."""

from __future__ import annotations

import re
from pathlib import Path

# The folders of a checkout that a wheel holds too, as packages of these names.
FOLDERS = {
    "scripts": "deeperlab_programs",
    "experiments": "deeperlab_experiments",
    "docs": "deeperlab_docs",
}
_ROOT = Path(__file__).resolve().parents[1]  # the checkout, or the folder of installed packages
_PATH = r"(?<![\w/.~-])(python )?(scripts|experiments|docs|deeperlab_tf)/([\w/]+(?:\.\w+)?)"
_IN_CHECKOUT = (_ROOT / "scripts" / "train.py").exists()


class UserError(ValueError):
    """Bad input. The message is one sentence: what is wrong, in which file or key, what to do.

    Programs print it as one line and exit with status 1 (`deeperlab_tf.cli`), without a traceback.
    Programs, experiments and pages are named in it as in a checkout; see `as_installed`.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(as_installed(str(message)))


def folder(name: str) -> Path:
    """Where `scripts`, `experiments` or `docs` lie.

    Args:
      name: of the folder in a checkout.
    """
    return _ROOT / (name if _IN_CHECKOUT else FOLDERS.get(name, name))


def as_installed(text: str) -> str:
    """`text` with programs, experiments and pages named as they are installed here.

    In a checkout that is the text itself. Installed from a wheel, scripts/build_records.py is the
    command deeperlab-build-records, experiments/shapes.py is the name shapes, docs/data.md is a
    file among the packages, and extras are those of the installed package.
    """
    if _IN_CHECKOUT:
        return text
    # Where it is installed, pip takes the extra's list from there, and asks no index for it.
    text = re.sub(r"pip install -e \.(\[\w+\])", r'pip install "deeperlab-tf\1"', text)
    return re.sub(_PATH, _here, text)


def _here(match: re.Match) -> str:
    """What a path in a checkout is called here; somebody else's path stays as it is."""
    start, name, file = match.groups("")
    path = folder(name) / file
    if not path.exists():
        return match[0]
    if path.suffix == ".py" and name == "experiments":
        return path.stem
    if path.suffix == ".py" and path.parent == folder("scripts"):
        return f"deeperlab-{path.stem.replace('_', '-')}"
    return f"{start}{path}"
