"""What annotations mean where their files leave it open: `config.data.annotations`."""

from __future__ import annotations

import typing

from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import IGNORE_LABEL, Category, Dataset, distinct_colors

IGNORE = "ignore"  # of `uncovered`

_GREY = (110, 110, 110)  # of the class for what no outline covers, where the file has none


class Rules(typing.NamedTuple):
    """See the values of `config.data.annotations`.

    Attributes:
      uncovered: name of the stuff class of pixels that no outline covers, or "ignore".
      stuff: names of the outlined classes that are stuff.
      smaller_on_top: whether smaller outlines lie on larger ones, instead of later on earlier ones.
      without_labels: error | empty | skip.
      val_every: of data without splits, every n-th photo is `val`.
    """

    uncovered: str = "background"
    stuff: tuple[str, ...] = ()
    smaller_on_top: bool = False
    without_labels: str = "error"
    val_every: int = 10

    @classmethod
    def of(cls, config: ConfigDict) -> Rules:
        """Those of a full config."""
        values = config.data.annotations
        names = (name.strip() for name in str(values.stuff).split(","))
        return cls(
            uncovered=str(values.uncovered).strip() or IGNORE,
            stuff=tuple(name for name in names if name),
            smaller_on_top=values.overlaps == "smaller_on_top",
            without_labels=values.without_labels,
            val_every=values.val_every,
        )


class OutlinedClass(typing.NamedTuple):
    """A class as a file of outlines has it.

    Attributes:
      key: what the outlines call it: an id, or its name.
      name: of the class.
      is_thing: what the file says, or None where it says nothing.
      color: (r, g, b), or None.
    """

    key: int | str
    name: str
    is_thing: bool | None = None
    color: tuple[int, int, int] | None = None


class ClassList(typing.NamedTuple):
    """The classes of a dataset of outlines.

    Attributes:
      dataset: the classes.
      label_of_key: the class of each key.
      uncovered: the class of pixels that no outline covers, or 255.
    """

    dataset: Dataset
    label_of_key: dict[int | str, int]
    uncovered: int


def list_classes(name: str, classes: list[OutlinedClass], rules: Rules, where: str) -> ClassList:
    """The classes of a file, and the one for what no outline covers.

    Classes are things unless the file or the rules say otherwise. What `rules.uncovered` names is
    stuff, and is added at the end where the file does not have it.

    Args:
      name: of the dataset.
      classes: in the order of the file.
      rules: what the file leaves open.
      where: the file, for errors.

    Raises:
      UserError: the rules name a class that there is not, or a class is named twice.
    """
    names = [entry.name for entry in classes]
    for wanted in rules.stuff:
        if wanted not in names:
            raise UserError(
                f"config.data.annotations.stuff names {wanted!r}, but the classes of {where} are "
                f"{', '.join(names)}."
            )
    uncovered = next((n for n in names if _same(n, rules.uncovered)), None)
    colors = distinct_colors(len(classes))
    categories = []
    taken = {entry.key for entry in classes if isinstance(entry.key, int)}
    for place, (entry, color) in enumerate(zip(classes, colors)):
        says = True if entry.is_thing is None else entry.is_thing
        is_thing = says and entry.name not in rules.stuff and entry.name != uncovered
        original_id = entry.key if isinstance(entry.key, int) else place
        categories.append(Category(entry.name, is_thing, entry.color or color, original_id))

    label_of_key = {entry.key: label for label, entry in enumerate(classes)}
    label = IGNORE_LABEL
    if uncovered is not None:
        label = names.index(uncovered)
    elif rules.uncovered != IGNORE:
        label = len(categories)
        ids = taken or {category.original_id for category in categories}
        free = next(i for i in range(len(categories) + 1) if i not in ids)
        categories.append(Category(rules.uncovered, False, _GREY, free))
    return ClassList(Dataset(name, tuple(categories)), label_of_key, label)


def _same(name: str, wanted: str) -> bool:
    """labelme writes `_background_`."""
    return name.strip("_").lower() == wanted.strip("_").lower() != IGNORE
