"""Where the files of a dataset lie, with one clear error where they do not."""

from __future__ import annotations

import collections
import functools
import itertools
import os
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import inputs, storage
from deeperlab_tf.files.images import IMAGE_ENDINGS
from deeperlab_tf.files.text import read_lines
from deeperlab_tf.work.names import (
    NameSet,
    NameTable,
    hash_of,
    kept_names,
    repeated_places,
    sorted_names,
)
from deeperlab_tf.work.values import Mapped

_T = typing.TypeVar("_T")
ANY_ENDING = ".*"  # of a pattern: any of these
_NUL = "\0"  # no name of a file has it


def check_root(root: str | os.PathLike) -> None:
    """Raises UserError unless the dataset's folder exists."""
    if not root or not storage.isdir(root):
        raise UserError(
            f"dataset folder {str(root)!r} does not exist; "
            "set config.data.root to the folder of the data."
        )


def first_existing(root: str | os.PathLike, names: Sequence[str], what: str) -> str:
    """Path of the first of `names` that exists under `root`.

    Raises:
      UserError: says what was looked for.
    """
    check_root(root)
    for name in names:
        path = storage.join(root, name)
        if storage.exists(path):
            return path
    raise UserError(
        f"there is no {what} in {root}: looked for {', '.join(names)}; "
        "check config.data.root and the split."
    )


def described_by(root: str | os.PathLike, given: str) -> str:
    """Path of a file that config.data.classes names, from here or from the root."""
    inside = storage.join(root, given)
    return inside if storage.isfile(inside) and not storage.isfile(given) else given


# === Finding files ===


def find_files(before: str, after: str) -> Iterator[tuple[str, str]]:
    """(name, path) of the files `before`NAME`after`, sorted.

    The ending may be written in capitals, and `.*` is that of any image. Hidden files are passed
    over.
    """
    folder, start = storage.split(before)
    named = ((name_in(entry, start, after), entry) for entry in _entries(folder))
    # Before any other character, so names are in order, and then the entries of each.
    lines = sorted_names(f"{name}{_NUL}{entry}" for name, entry in named if name)
    for line in lines:
        name, _, entry = line.partition(_NUL)
        yield name, storage.join(folder, entry)


def find_names(before: str, after: str) -> Sequence[str]:
    """What stands between `before` and `after` in the paths of the files there, sorted."""
    return kept_names(name for name, _ in find_files(before, after))


def name_in(entry: str, start: str, after: str) -> str:
    """NAME of a file that is called `start`NAME`after`, "" of one that is not; as `find_files`."""
    stem, ending = _split_ending(after)
    name, own_ending = _split_ending(entry)
    fits = name.startswith(start) and name.endswith(stem) and _same(own_ending, ending)
    return name[len(start) : max(len(name) - len(stem), 0)] if fits else ""


def existing_file(path: str) -> str | None:
    """`path`, or the file beside it whose ending differs in capitals alone; None if there is none.

    The ending `.*` is that of any image.

    Raises:
      UserError: several files could be meant.
    """
    if _split_ending(path)[1] != ANY_ENDING and storage.isfile(path):
        return path
    found = existing_files(path)
    if len(found) > 1:
        raise UserError(f"{found[0]} and {found[1]} are both {path}; rename or remove one.")
    return found[0] if found else None


def existing_files(path: str) -> list[str]:
    """All files that are `path` but for the capitals of its ending, sorted; `.*` as above."""
    wanted, ending = _split_ending(path)
    folder = storage.dirname(path)
    entries = _listing_by_stem(folder)[storage.basename(wanted)]
    same = [entry for entry in entries if _same(_split_ending(entry)[1], ending)]
    return [storage.join(folder, entry) for entry in same]


def walk_files(folder: str, endings: tuple[str, ...]) -> Iterator[str]:
    """Paths of the files with these endings, however written, in a folder and those below it.

    Links are followed; hidden files and folders are passed over.

    Args:
      folder: where to look.
      endings: in lower case.
    """
    return inputs.find_files(folder, endings)


def forget_listings() -> None:
    """Lets go of what lay in the folders that were looked into last."""
    _stems_at.cache_clear()


def missing_files(names: Sequence[str], paths: Iterable[Sequence[str]]) -> dict[int, str]:
    """From the places of samples that lack a file to the sentence that says so.

    Args:
      names: of the samples.
      paths: of each sample's files, that of the photo first.
    """
    found = {}
    for index, (name, files) in enumerate(zip(names, paths)):
        lacking = [path for path in files if not storage.isfile(path)]
        if lacking:
            what = "photo" if lacking[0] == files[0] else "mask"
            found[index] = f"image {name!r} has no {what}: {lacking[0]} does not exist"
    return found


def masks_without_photo(folder: str, ending: str, names: Iterable[str]) -> list[str]:
    """Sentences about the masks `folder`/**/NAME`ending` for which no photo is called NAME."""
    paths = walk_files(folder, (ending.lower(),))
    masks = ((storage.relpath(path, folder)[: -len(ending)], path) for path in paths)
    known = NameSet(names)
    extra = sorted(mask for mask in masks if mask[0] not in known)
    return [f"mask {path} has no photo" for _, path in extra]


def unique_names(files: Sequence[str]) -> Sequence[str]:
    """What samples are called: their files' names without ending, or with it where two would have
    one name. Names of different files differ.

    Example:
      >>> unique_names(["a.jpg", "b/a.jpg", "c.jpg", "c.png"])
      ['a', 'b/a', 'c.jpg', 'c.png']
    """
    return first_unique(Mapped(files, lambda file: (storage.splitext(file)[0], file)))


def first_unique(forms: Sequence[Sequence[str]]) -> Sequence[str]:
    """Of each item's possible names the first that no other item has.

    Args:
      forms: of each item its names, the shortest first; the last one is its own.
    """
    chosen = collections.Counter()  # of the items that are not called by their first name
    # A longer name may be another item's shorter one: look again until nothing changes.
    while clashing := _clashing(forms, chosen):
        chosen.update(clashing)
    return kept_names(names[chosen.get(item, 0)] for item, names in enumerate(forms))


def _clashing(forms: Sequence[Sequence[str]], chosen: Mapping[int, int]) -> list[int]:
    """Items that are called as another one is, and have a longer name."""

    def names():
        return (names[chosen.get(item, 0)] for item, names in enumerate(forms))

    repeated = NameSet(names()).repeated()
    counts = collections.Counter(n for n in names() if hash_of(n) in repeated) if repeated else {}
    found = []
    for item, (name, longer) in enumerate(zip(names(), forms) if counts else ()):
        if counts[name] > 1 and chosen.get(item, 0) + 1 < len(longer):
            found.append(item)
    return found


# === Lists ===


def read_list(path: str, what: str) -> Sequence[str]:
    """Lines of a text file, stripped, without empty ones.

    Raises:
      UserError: it is missing, empty or not text, or names one image twice.
    """
    names = kept_names(read_lines(path, f"list of {what}"))
    if not names:
        raise UserError(f"the list {path} of {what} is empty; write one image name per line.")
    if repeated := repeated_places(names):
        name = names[repeated[0]]
        raise UserError(f"the list {path} names {name!r} twice; name each image once.")
    return names


def split_every(items: Sequence[_T], split: str, every: int) -> Iterator[_T]:
    """Those of a split: items n - 1, 2n - 1, … are `val`, all others `train`.

    Raises:
      UserError: there is no such split, or nothing in it.
    """
    if split not in ("train", "val"):
        raise UserError(f"split {split!r} is unknown: data without splits have train and val.")
    held_out = len(range(every - 1, len(items), every))
    if not (held_out if split == "val" else len(items) - held_out):
        raise UserError(
            f"split {split!r} is empty: of {len(items)} images, every {every}th is val; "
            "add images, or take a smaller number."
        )
    places = itertools.cycle(range(1, every + 1))
    return (item for item, n in zip(items, places) if (n == every) == (split == "val"))


# === Names of files ===


def _split_ending(name):
    """("a.b", ".jpg") of a.b.jpg."""
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if dot else (name, "")


def _same(ending, wanted):
    if wanted == ANY_ENDING:
        return ending.lower() in IMAGE_ENDINGS
    return ending.lower() == wanted.lower()


def _entries(folder):
    """Names of the files in a folder that are not hidden, in no order; none where there is none."""
    for name, is_folder in storage.scan(folder or "."):
        if not is_folder and name[0] != ".":
            yield name


def _stem(entry):
    return _split_ending(entry)[0]


@functools.lru_cache(maxsize=8)
def _stems_at(folder, changed):
    del changed  # when the folder was: what was found before then is no answer
    return NameTable(_entries(folder), _stem)


def _changed(folder):
    """When what lies in a folder changed; in buckets folders have no such time."""
    found = storage.facts(folder or ".")
    return found and found.changed


def _listing_by_stem(folder):
    return _stems_at(folder, _changed(folder))
