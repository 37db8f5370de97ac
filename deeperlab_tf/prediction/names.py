"""What the results of each input are called, so that no two inputs have one name."""

from __future__ import annotations

import collections
import itertools
import unicodedata
from collections.abc import Collection, ItemsView, Iterator, Mapping, ValuesView

from deeperlab_tf.files import storage
from deeperlab_tf.files.results import ENDINGS
from deeperlab_tf.work.names import NameSet, hash_of

# How one result's ending ends in another's: `b` + `_semantic.png` is `b_semantic` + `.png`.
_MORE = {one[: -len(two)] for one in ENDINGS for two in ENDINGS if one.endswith(two)} - {""}


class Joined(Collection):
    """Some lists, one after the other."""

    def __init__(self, *lists: Collection[str]):
        self._lists = lists

    def __len__(self) -> int:
        return sum(map(len, self._lists))

    def __iter__(self) -> Iterator[str]:
        return itertools.chain.from_iterable(self._lists)

    def __contains__(self, item: object) -> bool:
        return any(item in each for each in self._lists)


class ResultNames(Mapping):
    """From the names of results to the files of their inputs, in the order of the files.

    A name follows from its file; only those that do not are held.

    Args:
      files: paths of the inputs.
      root: the folder they are in or below.
      renamed: file -> name, of those whose names are not their own.
    """

    def __init__(self, files: Collection[str], root: str, renamed: Mapping[str, str]):
        self.files, self._root, self._renamed = files, root or ".", renamed

    def of(self, files: Collection[str]) -> ResultNames:
        """The same names, of some of the files."""
        return ResultNames(files, self._root, self._renamed)

    def name(self, file: str) -> str:
        """Of the results of a file."""
        own = self._renamed.get(file)
        return storage.splitext(self._inside(file))[0] if own is None else own

    def _inside(self, file: str) -> str:
        start = f"{self._root}/"
        if file.startswith(start) and "/." not in file and "//" not in file:
            return file[len(start) :]  # what `relpath` takes ten times as long for
        return storage.relpath(file, self._root)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[str]:
        return map(self.name, self.files)

    def __getitem__(self, name: str) -> str:
        for own, file in self.items():
            if own == name:
                return file
        raise KeyError(name)

    def items(self) -> ItemsView[str, str]:
        """(name, file), as they are read."""
        return _Items(self)

    def values(self) -> ValuesView[str]:
        """The files."""
        return _Files(self)


class _Items(ItemsView):
    def __iter__(self):
        return ((self._mapping.name(file), file) for file in self._mapping.files)


class _Files(ValuesView):
    def __iter__(self):
        return iter(self._mapping.files)


def result_names(files: Collection[str], root: str) -> ResultNames:
    """Which results' name each input has.

    It is the input's path below `root` without its ending: `a.jpg` becomes `a`. Where results of
    two inputs would have one name, all of these keep their ending: `a.jpg` beside `a.png` become
    `a_jpg` and `a_png`, and `b.jpg` beside `b_semantic.jpg` `b_jpg` and `b_semantic_jpg`.

    Args:
      files: paths of the inputs, each of them once.
      root: the folder they are in or below.
    """
    root = root or "."
    renamed = {}
    names = ResultNames(files, root, renamed)
    tries = collections.Counter()
    while clashing := _clashing(names):
        for number, file in enumerate(clashing, start=1):
            tries[file] += 1
            longer = "_".join(_split(storage.relpath(file, root)))
            is_new = names.name(file) != longer and tries[file] == 1
            # `a.jpg` beside `a.JPG`, which some disks take for one name.
            further = "" if is_new else "_" * max(tries[file] - 1, 1) + str(number)
            renamed[file] = longer + further
    return names


def _split(path):
    """("a", "jpg") of a.jpg; ("a",) of a file without an ending."""
    stem, ending = storage.splitext(path)
    return (stem, ending[1:]) if ending else (stem,)


def _clashing(names):
    """Those files, sorted, of whose results' names another file's have one, too."""
    owners = {}
    for file in _perhaps_clashing(names):
        for ending in ENDINGS:
            owners.setdefault(_folded(names.name(file) + ending), set()).add(file)
    shared = (files for files in owners.values() if len(files) > 1)
    return sorted(set().union(*shared))


def _perhaps_clashing(names):
    """Those files whose names another's begin with, or are; of millions, usually none."""
    there = NameSet(map(_folded, names))
    repeated = there.repeated()
    found = set()
    for name in map(_folded, names):
        if repeated and hash_of(name) in repeated:
            found.add(name)
        for end in _MORE:
            if name.endswith(end) and name[: -len(end)] in there:
                found.update((name, name[: -len(end)]))
    return [file for name, file in names.items() if found and _folded(name) in found]


def _folded(name):
    """As disks compare names that fold case and accents."""
    return unicodedata.normalize("NFC", name).casefold()
