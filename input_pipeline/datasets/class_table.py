"""Classes of a dataset from a table that a person can compare with the official list."""

from __future__ import annotations

from deeperlab_tf.schema import Category


def read_class_table(table: str) -> tuple[Category, ...]:
    """The classes of a table.

    Args:
      table: one class per line: its id in the dataset's files, thing or stuff, its colour as red,
        green and blue, 0-255, and its name, which may have spaces.

    Example:
      >>> read_class_table("11  stuff  70 70 70  building")
      (Category(name='building', is_thing=False, color=(70, 70, 70), original_id=11),)
    """
    lines = table.strip().splitlines()
    return tuple(_read_class(line) for line in lines)


def _read_class(line: str) -> Category:
    original_id, kind, red, green, blue, name = line.split(maxsplit=5)
    color = (int(red), int(green), int(blue))
    is_thing = kind == "thing"
    return Category(name.strip(), is_thing, color, int(original_id))
