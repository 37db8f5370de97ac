"""What a program has written so far, which may be of millions of images: in a temporary file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any


class Written:
    """Names that were taken, in their order, and what is to be said of each.

    Example:
      >>> written = Written()
      >>> written.take("a"), written.take("a")
      (True, False)
    """

    def __init__(self) -> None:
        # By a lock of its own, several threads may use it.
        self._rows, self._lock = sqlite3.connect("", check_same_thread=False), threading.Lock()
        columns = "plain BLOB PRIMARY KEY, part TEXT, name BLOB, description TEXT"
        self._rows.execute(f"CREATE TABLE written ({columns})")

    def take(self, name: str, part: str = "", plain: str | None = None) -> bool:
        """Adds a name unless it was there before.

        Args:
          name: any.
          part: of what is written, such as a split.
          plain: two names with one `plain` are the same, whatever their part; None: the name.

        Returns:
          whether it was added.
        """
        row = (_bytes(name if plain is None else plain), part, _bytes(name))
        with self._lock:
            added = self._rows.execute("INSERT OR IGNORE INTO written VALUES (?, ?, ?, '')", row)
        return added.rowcount == 1

    def describe(self, plain: str, **description: Any) -> None:
        """What is to be said of a name, as JSON can hold it."""
        row = (json.dumps(description), _bytes(plain))
        with self._lock:
            self._rows.execute("UPDATE written SET description = ? WHERE plain = ?", row)

    def parts(self) -> list[str]:
        """All that there are, in their order."""
        found = self._rows.execute("SELECT part FROM written GROUP BY part ORDER BY min(rowid)")
        return [part for (part,) in found]

    def names(self, part: str = "") -> Iterator[str]:
        """The names of a part."""
        wanted = "SELECT name FROM written WHERE part = ? ORDER BY rowid"
        for (name,) in self._rows.execute(wanted, (part,)):
            yield name.decode("utf-8", "surrogatepass")

    def descriptions(self, part: str = "") -> Iterator[dict[str, Any]]:
        """What is to be said of those of a part of which there is something to be said."""
        wanted = (
            "SELECT description FROM written WHERE part = ? AND description <> '' ORDER BY rowid"
        )
        for (description,) in self._rows.execute(wanted, (part,)):
            yield json.loads(description)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
