"""Which files of a folder dataset are photos, and which are the masks of which photo."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS, UNREADABLE_ENDINGS
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.work.names import NameSet, kept_names, repeated_places
from input_pipeline.datasets.layout import (
    ANY_ENDING,
    existing_file,
    existing_files,
    find_files,
    name_in,
    walk_files,
)

_ID = "{id}"


class FolderFiles:
    """The files that the patterns of a description lead to.

    Args:
      root: folder of the data.
      patterns: from a kind (`images`, `semantic`, `instances`) to its file name with one `{id}`.

    Raises:
      UserError: a pattern leaves the folder.
    """

    def __init__(self, root: str, patterns: Mapping[str, str]):
        self._root, self._patterns = storage.abspath(root), patterns
        self._chosen = {}  # name -> which of several photos of that name a list means
        for pattern in patterns.values():
            path_inside(root, pattern.split(_ID)[0])

    def wanted(self, kind: str, name: str) -> str:
        """Where the file of a kind is to be, for errors; UserError if the name leads out."""
        return path_inside(self._root, self._patterns[kind].replace(_ID, name))

    def path(self, kind: str, name: str) -> str | None:
        """The file of a kind, whose ending may be in capitals; None if there is none."""
        if kind == "images" and name in self._chosen:
            return self._chosen[name]
        if not self._patterns[kind].endswith(ANY_ENDING):
            return existing_file(self.wanted(kind, name))
        return next(iter(self._hits(kind, name)), None)

    def listed(self, lines: Sequence[str], where: str) -> Sequence[str]:
        """Names of the photos that the lines of a list mean.

        A line may name a file: a.jpg is the image a, unless there is a photo a.jpg.jpg; of a.jpg
        and a.png it is then the one.

        Args:
          lines: of the list.
          where: its path, for errors.

        Raises:
          UserError: two lines mean one image.
        """
        names = kept_names(map(self._listed, lines))
        if repeated := repeated_places(names):
            first, second = (lines[place] for place in repeated)
            raise UserError(
                f"the list {where} names the image {names[repeated[0]]!r} twice, as {first!r} and "
                f"as {second!r}; take one off the list, or rename it if they are two photos."
            )
        return names

    def check_single(self, names: Sequence[str]) -> None:
        """Raises UserError where several photos or several masks are those of one name."""
        for kind in self._patterns:
            chosen = self._chosen if kind == "images" else ()
            for name in names:
                hits = self._hits(kind, name)
                if len(hits) < 2 or name in chosen:
                    continue
                what, end = f"the {kind} mask of the image", "rename or remove one"
                if kind == "images":
                    what, end = "the image", f"{end}, or name one with its ending in the list"
                raise UserError(f"{hits[0]} and {hits[1]} are both {what} {name!r}; {end}.")

    def photos(self) -> Sequence[str]:
        """Names of the photos that lie in the folder, sorted.

        Masks that lie beside the photos are none.

        Raises:
          UserError: two photos have one name.
        """
        return kept_names(self._single_photos())

    def _single_photos(self) -> Iterator[str]:
        before = None, None
        for name, path in self._photo_files():
            if name == before[0]:
                raise UserError(f"{before[1]} and {path} are both the image {name!r}; rename one.")
            before = name, path
            yield name

    def unlabelled(self, on_lists: Iterable[str] | None = None) -> list[str]:
        """Sentences about masks without a photo, and about pictures that are in no split.

        Args:
          on_lists: paths of the photos that the lists of all splits name; None: there are no lists.
        """
        photos = _paths(path for _, path in self._photo_files())
        sentences = []
        for name, path in self._all_masks():
            if storage.normpath(path) not in photos and self.path("images", name) is None:
                sentences.append(f"mask {path} has no photo")
        if on_lists is None:
            return sentences + self._left_out([photos])
        listed = _paths(on_lists)
        unlisted = (p for _, p in self._photo_files() if storage.normpath(p) not in listed)
        unlisted = sorted(storage.relpath(path, self._root) for path in unlisted)
        sentences += _count(unlisted, "photos", f"{self._root} are on no list")
        return sentences + self._left_out([photos, listed])

    def _listed(self, line: str) -> str:
        stem, ending = storage.splitext(line)
        if not ending or self._hits("images", line):
            return line
        hits = self._hits("images", stem)
        exact = [hit for hit in hits if hit.endswith(ending)]
        named = exact or [hit for hit in hits if hit.lower().endswith(ending.lower())]
        if len(named) == 1 and len(hits) > 1:
            self._chosen[stem] = named[0]
        return stem if hits else line

    def _hits(self, kind: str, name: str) -> list[str]:
        """All files that are that of a kind, sorted."""
        hits = existing_files(self.wanted(kind, name))
        if not self._patterns[kind].endswith(ANY_ENDING):
            return hits
        # Where photos and masks share a folder, a pattern with an ending goes before one without.
        folder = storage.dirname(self._patterns[kind])
        others = [
            self.wanted(other, name)
            for other, pattern in self._patterns.items()
            if storage.dirname(pattern) == folder and not pattern.endswith(ANY_ENDING)
        ]
        return [hit for hit in hits if hit not in map(existing_file, others)]

    def _photo_files(self) -> Iterator[tuple[str, str]]:
        """(name, path) of all photos, sorted."""
        beside = [kind for kind in self._mask_kinds() if self._beside_photos(kind)]
        for name, path in self._find("images"):
            if not any(self._is_mask(kind, name, path) for kind in beside):
                yield name, path

    def _mask_kinds(self) -> list[str]:
        return [kind for kind in self._patterns if kind != "images"]

    def _all_masks(self) -> Iterator[tuple[str, str]]:
        """(name, path) of the masks of all kinds."""
        for kind in self._mask_kinds():
            yield from self._masks(kind)

    def _masks(self, kind: str) -> Iterator[tuple[str, str]]:
        """(name, path) of all masks of a kind; also in subfolders, where they have their own."""
        before, after = self._patterns[kind].split(_ID)
        folder, start = storage.split(storage.join(self._root, before))
        if start or self._beside_photos(kind):
            return self._find(kind)
        paths = walk_files(folder, (after.lower(),))
        return ((storage.relpath(path, folder)[: -len(after)], path) for path in paths)

    def _find(self, kind: str) -> Iterator[tuple[str, str]]:
        before, after = self._patterns[kind].split(_ID)
        return find_files(storage.join(self._root, before), after)

    def _beside_photos(self, kind: str) -> bool:
        images, masks = (storage.dirname(self._patterns[k]) for k in ("images", kind))
        return images == masks

    def _is_mask(self, kind: str, name: str, path: str) -> bool:
        """Whether a candidate for a photo is another photo's mask of a kind that lies beside."""
        before, after = self._patterns[kind].split(_ID)
        owner = name_in(storage.basename(path), storage.basename(before), after)
        if not owner:
            return False
        others = [hit for hit in existing_files(self.wanted("images", owner)) if hit != path]
        return bool(others) or self.path(kind, name) in (None, path)

    def _left_out(self, photos: Sequence[NameSet]) -> list[str]:
        """Sentences about the pictures beside the photos that are none: the pattern does not fit
        them or does not look there, or nothing reads them.

        Args:
          photos: sets of paths.
        """
        pattern = self._patterns["images"]
        folder = storage.dirname(storage.join(self._root, pattern))
        if not storage.isdir(folder):
            return []
        fitting = itertools.chain(self._all_masks(), self._find("images"))
        used = [*photos, _paths(path for _, path in fitting)]
        paths = walk_files(folder, IMAGE_ENDINGS + UNREADABLE_ENDINGS)
        unused = (p for p in paths if not any(storage.normpath(p) in some for some in used))
        names = [storage.relpath(path, folder) for path in unused]
        unreadable = [name for name in names if name.lower().endswith(UNREADABLE_ENDINGS)]
        others = [name for name in names if name not in unreadable]
        below = [name for name in others if storage.dirname(name)]
        beside = [name for name in others if name not in below]
        return [
            *_count(beside, "pictures", f"{folder} do not fit {pattern}"),
            *_count(
                below, "pictures", f"subfolders of {folder} are in no split; name them in lists"
            ),
            *_count(
                unreadable,
                "pictures",
                f"{folder} are of a kind that cannot be read; save them as JPEG or PNG",
            ),
        ]


def _paths(paths: Iterable[str]) -> NameSet:
    return NameSet(map(storage.normpath, paths))


def _count(names: Sequence[str], what: str, where: str) -> list[str]:
    """One sentence about all of them; none if there are none."""
    return [f"{len(names)} {what} in {where}: {', '.join(names)}"] if names else []
