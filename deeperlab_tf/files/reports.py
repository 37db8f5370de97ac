"""Reports, one file that the user names: they replace reports of their kind, and nothing else.

A link that leads nowhere is nothing: what it leads to is made.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

_BEGINNING = 1000  # characters of a page in which its mark stands


def check_report(path: str, keys: Collection[str]) -> None:
    """Fails unless a JSON report may be written to `path`.

    That is where nothing is there, or a report of the same kind, which is replaced.

    Args:
      path: the file.
      keys: what such a report holds, at its top.

    Raises:
      UserError: there is something else.

    Example:
      check_report("metrics.json", {"pq", "sq", "rq"})
    """
    found = read_json_object(path)
    if storage.exists(path) and not (found and set(keys) <= set(found)):
        raise _not_own_report(path)


def check_page(path: str, mark: str) -> None:
    """As `check_report`, for a page of text that holds `mark` near its beginning."""
    if not storage.exists(path):
        return
    try:
        with storage.open(path, encoding="utf-8") as file:
            beginning = file.read(_BEGINNING)
    except (OSError, ValueError) as error:
        raise _not_own_report(path) from error
    if mark not in beginning:
        raise _not_own_report(path)


def check_absent(*paths: str) -> None:
    """Fails if there is something at one of these paths.

    Raises:
      UserError: which one.
    """
    for path in paths:
        if storage.exists(path):
            raise UserError(f"{path} exists already; remove it or choose another --output.")


def _not_own_report(path):
    return UserError(
        f"{path} exists already and is not a report of this program's; choose another --output."
    )


def read_json_object(path: str) -> dict | None:
    """The JSON object in a file; None where there is none."""
    try:
        with storage.open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
