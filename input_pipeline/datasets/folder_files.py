"""Which files of a folder dataset are photos, and which are the masks of which photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS, UNREADABLE_ENDINGS
from deeperlab_tf.files.paths import path_inside
from input_pipeline.datasets.layout import (
    ANY_ENDING,
    existing_file,
    existing_files,
    find_files,
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
        self._chosen = {}  # name -> the photo whose ending a list gives
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

    def listed(self, lines: Sequence[str], where: str) -> list[str]:
        """Names of the photos that the lines of a list mean.

        A line may name a file: a.jpg is the image a, unless there is a photo a.jpg.jpg; of a.jpg
        and a.png it is then the one.

        Args:
          lines: of the list.
          where: its path, for errors.

        Raises:
          UserError: two lines mean one image.
        """
        line_of = {}
        for line in lines:
            name = self._listed(line)
            if name in line_of:
                raise UserError(
                    f"the list {where} names the image {name!r} twice, as {line_of[name]!r} and as "
                    f"{line!r}; take one off the list, or rename it if they are two photos."
                )
            line_of[name] = line
        return list(line_of)

    def check_single(self, names: Sequence[str]) -> None:
        """Raises UserError where several photos or several masks are those of one name."""
        for kind in self._patterns:
            named = self._chosen if kind == "images" else ()
            for name in sorted(set(names).difference(named)):  # each folder is listed but once
                hits = self._hits(kind, name)
                if len(hits) < 2:
                    continue
                what, end = f"the {kind} mask of the image", "rename or remove one"
                if kind == "images":
                    what, end = "the image", f"{end}, or name one with its ending in the list"
                raise UserError(f"{hits[0]} and {hits[1]} are both {what} {name!r}; {end}.")

    def photos(self) -> dict[str, str]:
        """From the names of the photos that lie in the folder to their paths, sorted.

        Masks that lie beside the photos are none.

        Raises:
          UserError: two photos have one name.
        """
        photos = {}
        for name, path in self._photo_files():
            if name in photos:
                raise UserError(
                    f"{photos[name]} and {path} are both the image {name!r}; rename one."
                )
            photos[name] = path
        return photos

    def unlabelled(self, on_lists: set[str] | None = None) -> list[str]:
        """Sentences about masks without a photo, and about pictures that are in no split.

        Args:
          on_lists: paths of the photos that the lists of all splits name; None: there are no lists.
        """
        photos = {storage.normpath(path) for _, path in self._photo_files()}
        sentences = []
        for kind in self._patterns:
            if kind == "images":
                continue
            for name, path in self._masks(kind):
                if storage.normpath(path) not in photos and self.path("images", name) is None:
                    sentences.append(f"mask {path} has no photo")
        if on_lists is not None:
            on_lists = {storage.normpath(path) for path in on_lists}
            unlisted = sorted(storage.relpath(path, self._root) for path in photos - on_lists)
            sentences += _count(unlisted, "photos", f"{self._root} are on no list")
            photos |= on_lists
        return sentences + self._left_out(photos)

    def _listed(self, line: str) -> str:
        stem, ending = storage.splitext(line)
        if not ending or self._hits("images", line):
            return line
        hits = self._hits("images", stem)
        exact = [hit for hit in hits if hit.endswith(ending)]
        named = exact or [hit for hit in hits if hit.lower().endswith(ending.lower())]
        if len(named) == 1:
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

    def _photo_files(self) -> list[tuple[str, str]]:
        """(name, path) of all photos, sorted."""
        found = self._find("images")
        masks = self._masks_among(found)
        return [(name, path) for name, path in found if path not in masks]

    def _masks(self, kind: str) -> list[tuple[str, str]]:
        """(name, path) of all masks of a kind; also in subfolders, where they have their own."""
        before, after = self._patterns[kind].split(_ID)
        folder, start = storage.split(storage.join(self._root, before))
        if start or self._beside_photos(kind):
            return self._find(kind)
        paths = walk_files(folder, (after.lower(),))
        return [(storage.relpath(path, folder)[: -len(after)], path) for path in paths]

    def _find(self, kind: str) -> list[tuple[str, str]]:
        before, after = self._patterns[kind].split(_ID)
        return find_files(storage.join(self._root, before), after)

    def _beside_photos(self, kind: str) -> bool:
        images, masks = (storage.dirname(self._patterns[k]) for k in ("images", kind))
        return images == masks

    def _masks_among(self, found: list[tuple[str, str]]) -> set[str]:
        """Paths of those candidates for photos that are another photo's masks."""
        beside = [kind for kind in self._patterns if kind != "images" and self._beside_photos(kind)]
        paths_of = {}
        for name, path in found:
            paths_of.setdefault(name, []).append(path)
        masks = set()
        for kind in beside:
            for owner, path in self._find(kind):
                others = [other for other in paths_of.get(owner, ()) if other != path]
                own = self._names_of(path, found)
                has_mask = any(self.path(kind, name) not in (None, path) for name in own)
                if others or not has_mask:
                    masks.add(path)
        return masks

    @staticmethod
    def _names_of(path: str, found: list[tuple[str, str]]) -> list[str]:
        return [name for name, other in found if other == path]

    def _left_out(self, photos: set[str]) -> list[str]:
        """Sentences about the pictures beside the photos that are none: the pattern does not fit
        them or does not look there, or nothing reads them.
        """
        pattern = self._patterns["images"]
        folder = storage.dirname(storage.join(self._root, pattern))
        if not storage.isdir(folder):
            return []
        masks = [
            path for kind in self._patterns if kind != "images" for _, path in self._masks(kind)
        ]
        found = [*masks, *(path for _, path in self._find("images"))]
        used = photos.union(map(storage.normpath, found))
        paths = walk_files(folder, IMAGE_ENDINGS + UNREADABLE_ENDINGS)
        names = [storage.relpath(p, folder) for p in paths if storage.normpath(p) not in used]
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


def _count(names: Sequence[str], what: str, where: str) -> list[str]:
    """One sentence about all of them; none if there are none."""
    return [f"{len(names)} {what} in {where}: {', '.join(names)}"] if names else []
