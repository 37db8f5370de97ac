"""What the page asks for: a parse, the same with other settings, one of its layers, its files."""

from __future__ import annotations

import shutil
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

from deeperlab_tf import Parsing
from deeperlab_tf.visualize.heads import keypoint_colors
from deeperlab_tf.visualize.layers import LABEL_LAYERS, draw_layer
from demo_page.photos import Limits, file_stem, read_photo
from demo_page.picture import legend_html, picture_html

if TYPE_CHECKING:
    from deeperlab_tf.prediction.kept_heads import HeadKeeper, KeptHeads


class Files(NamedTuple):
    """Paths of what can be downloaded, in a folder of their own."""

    folder: str
    overlay: str
    labels: str
    segments: str


class Shown(NamedTuple):
    """What one visitor looks at.

    Attributes:
      stem: of the names of its files.
      kept: what the network said, to be fused again.
      parsing: as it was fused last.
      files: to download.
      seconds: that the last network run or fusion took.
    """

    stem: str
    kept: KeptHeads
    parsing: Parsing
    files: Files
    seconds: float


class Answers:
    """Answers one page; knows a model, and no visitor.

    Args:
      keeper: parses photos.
      limits: what is refused.
      folder: where files to download are written.
    """

    def __init__(self, keeper: HeadKeeper, limits: Limits, folder: str) -> None:
        self._keeper, self._limits, self._folder = keeper, limits, folder

    def parse(self, path: str, peak_threshold: float, nms_iou: float) -> Shown:
        """Runs the network on an uploaded photo, and fuses.

        Args:
          path: of the photo.
          peak_threshold, nms_iou: see `FusionSettings`.

        Raises:
          UserError: the photo is refused.
        """
        image = read_photo(path, self._limits)
        start = time.perf_counter()
        kept = self._keeper.keep(image)
        return self._fuse(file_stem(path), kept, (peak_threshold, nms_iou), start)

    def fuse_again(self, shown: Shown, peak_threshold: float, nms_iou: float) -> Shown:
        """The same photo with other settings; the network does not run."""
        start = time.perf_counter()
        again = self._fuse(shown.stem, shown.kept, (peak_threshold, nms_iou), start)
        self.forget(shown)
        return again

    def draw(self, shown: Shown, layer: str, field: str | None = None) -> str:
        """HTML of a layer, see `draw_layer`."""
        maps = self._keeper.maps(shown.kept)
        picture = draw_layer(layer, shown.parsing, maps, self._keeper.graph, field)
        drawn = picture_html(picture, shown.parsing, is_flat=layer in LABEL_LAYERS)
        if layer != "heatmap":
            return drawn
        return drawn + legend_html(keypoint_colors(self._keeper.graph))

    def forget(self, shown: Shown | None) -> None:
        """Removes the files of what is looked at no longer."""
        if shown is not None:
            shutil.rmtree(shown.files.folder, ignore_errors=True)

    def _fuse(self, stem, kept, values, start):
        settings = self._keeper.settings._make(values)
        parsing = self._keeper.fuse(kept, settings)
        seconds = time.perf_counter() - start
        return Shown(stem, kept, parsing, self._write(parsing, stem), seconds)

    def _write(self, parsing, stem):
        # A folder for each parse: a browser may keep what it once had under an address.
        folder = tempfile.mkdtemp(dir=self._folder)
        parsing.save(folder, stem)
        paths = (f"{folder}/{stem}{ending}" for ending in ("_overlay.jpg", ".png", ".json"))
        return Files(folder, *paths)
