"""The layout of the page, and what happens on it; only this file and server.py know Gradio."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from deeperlab_tf.errors import UserError
from deeperlab_tf.visualize.layers import LAYERS, offset_names
from demo_page.answers import Answers, Shown
from demo_page.picture import is_object, note_html, segments_html

if TYPE_CHECKING:
    from deeperlab_tf.prediction.kept_heads import HeadKeeper

# Before Gradio loads: nothing is told to anybody, whatever the machine is set to.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

try:
    import gradio
except ImportError as error:
    raise UserError(
        f"the page needs Gradio ({error}); install it with pip install -e .[demo], "
        "on Python 3.10 or newer."
    ) from error

_HERE = os.path.dirname(os.path.abspath(__file__))
_SUBTITLE = "A class for every pixel, and for every object its own region."
_EMPTY = '<div class="empty">The parse appears here.</div>'
_WELCOME = "Drop a photo, paste one, or take one."
_HINT = "Move the pointer over the picture to read names and scores."
_ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "model"}
_FORGET_AFTER = 1800  # seconds without a visit


def build_page(answers: Answers, keeper: HeadKeeper, title: str) -> gradio.Blocks:
    """The layout, and which part asks for what.

    Args:
      answers: `Answers`.
      keeper: whose settings the sliders start from.
      title: of the page.
    """
    blocks = gradio.Blocks(
        title=title,
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(_FORGET_AFTER, _FORGET_AFTER),
    )
    with blocks:
        gradio.Markdown(
            f"## {title}\nA class for every pixel, and for every object its own region."
        )
        shown = gradio.State(None, time_to_live=_FORGET_AFTER, delete_callback=answers.forget)
        with gradio.Row():
            with gradio.Column(scale=2, min_width=320):
                asks = _asks(keeper)
            with gradio.Column(scale=5, min_width=480):
                tells = _tells(keeper)
    _connect(blocks, answers, shown, asks, tells)
    return blocks


# === The parts ===


class _Asks(NamedTuple):
    """The left side: what a visitor gives."""

    photo: gradio.Image
    note: gradio.HTML
    peak_threshold: gradio.Slider
    nms_iou: gradio.Slider
    regions: gradio.HTML


class _Tells(NamedTuple):
    """The right side: what a visitor gets."""

    layer: gradio.Radio
    field: gradio.Dropdown
    picture: gradio.HTML
    downloads: tuple[gradio.DownloadButton, ...]


def _asks(keeper):
    photo = gradio.Image(
        label="Photo",
        sources=["upload", "webcam", "clipboard"],
        type="filepath",
        height=260,
        elem_id="photo",
    )
    # The file as it was sent: what it is worth, and what to say of it, is `read_photo`'s matter.
    photo.preprocess = lambda sent: None if sent is None else sent.path
    note = gradio.HTML(note_html(_WELCOME), elem_id="note")
    peak_threshold = gradio.Slider(
        0.0,
        1.0,
        value=keeper.settings.peak_threshold,
        step=0.01,
        label="peak_threshold",
        info="Lowest score of a keypoint: higher finds fewer, surer objects.",
        elem_id="peak_threshold",
    )
    nms_iou = gradio.Slider(
        0.0,
        1.0,
        value=keeper.settings.nms_iou,
        step=0.05,
        label="nms_iou",
        info="Of boxes that overlap by more, one goes: higher keeps objects that stand close.",
        elem_id="nms_iou",
    )
    regions = gradio.HTML("", elem_id="regions")
    return _Asks(photo, note, peak_threshold, nms_iou, regions)


def _tells(keeper):
    layer = gradio.Radio(list(LAYERS), value=LAYERS[0], label="Layer", elem_id="layer")
    fields = offset_names(keeper.graph)
    field = gradio.Dropdown(
        fields,
        value=fields[0],
        label="Offsets",
        info="Where each pixel points to: the hue is the direction, white is no way to go.",
        visible=False,
        elem_id="field",
    )
    picture = gradio.HTML(_EMPTY, elem_id="picture")
    with gradio.Row():
        downloads = tuple(
            gradio.DownloadButton(text, interactive=False, size="sm", elem_id=name)
            for name, text in (
                ("overlay", "Download overlay (JPEG)"),
                ("labels", "Download segment ids (PNG)"),
                ("segments", "Download segments (JSON)"),
            )
        )
    return _Tells(layer, field, picture, downloads)


# === What happens ===


def _connect(blocks, answers, shown, asks, tells):
    settings = [asks.peak_threshold, asks.nms_iou]
    view = [tells.layer, tells.field]
    results = [shown, asks.note, asks.regions, tells.picture, *tells.downloads]

    def parse(path, before, peak_threshold, nms_iou, layer, field):
        answers.forget(before)
        if path is None:
            return _nothing(_WELCOME)
        return _guarded(lambda: answers.parse(path, peak_threshold, nms_iou), answers, layer, field)

    def fuse_again(before, peak_threshold, nms_iou, layer, field):
        if before is None:
            return [gradio.skip()] * len(results)
        return _guarded(
            lambda: answers.fuse_again(before, peak_threshold, nms_iou), answers, layer, field
        )

    def draw(now, layer, field):
        is_offsets = gradio.update(visible=layer == "offsets")
        if now is None:
            return is_offsets, gradio.skip()
        return is_offsets, answers.draw(now, layer, field)

    with blocks:
        blocks.load(js=read_part("pointer.js"))
        asks.photo.change(parse, [asks.photo, shown, *settings, *view], results, **_ONE_AT_A_TIME)
        for slider in settings:
            slider.change(
                fuse_again,
                [shown, *settings, *view],
                results,
                trigger_mode="always_last",
                show_progress="hidden",
                **_ONE_AT_A_TIME,
            )
        for choice in view:
            choice.change(
                draw, [shown, *view], [tells.field, tells.picture], show_progress="hidden"
            )


def _guarded(work: Callable[[], Shown], answers, layer, field):
    """The results of `work`, or what is wrong, as one sentence."""
    try:
        now = work()
    except UserError as error:
        return _nothing(str(error), is_error=True)
    count = sum(is_object(segment) for segment in now.parsing.segments)
    height, width = now.parsing.panoptic.shape
    objects = "1 object" if count == 1 else f"{count} objects"
    note = f"{width} × {height} pixels, {objects}, {now.seconds:.2f} s. {_HINT}"
    files = (now.files.overlay, now.files.labels, now.files.segments)
    return [
        now,
        note_html(note),
        segments_html(now.parsing),
        answers.draw(now, layer, field),
        *(gradio.update(value=path, interactive=True) for path in files),
    ]


def _nothing(text, is_error=False):
    gone = gradio.update(value=None, interactive=False)
    return [None, note_html(text, is_error), "", _EMPTY, gone, gone, gone]


def read_part(name: str) -> str:
    """The text of a file beside this one."""
    with open(os.path.join(_HERE, name), encoding="utf-8") as file:
        return file.read()
