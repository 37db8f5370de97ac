"""Serves the page: where, to how many, and nothing but its own files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from deeperlab_tf.errors import UserError
from demo_page.answers import Answers
from demo_page.page import build_page, gradio, read_part
from demo_page.photos import Limits

if TYPE_CHECKING:
    from deeperlab_tf.prediction.kept_heads import HeadKeeper

_VISITORS = 16  # whose parses are kept; those who came first are forgotten
# Fonts of the reader's machine: the default ones would be fetched from elsewhere.
_FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}


class Address(NamedTuple):
    """Where the page is served. Port 0: any that is free."""

    host: str = "127.0.0.1"
    port: int = 7860


@contextmanager
def serve(keeper: HeadKeeper, limits: Limits, address: Address, title: str) -> Iterator[str]:
    """Serves the page while the block runs.

    Args:
      keeper: parses photos.
      limits: what is refused.
      address: `Address`.
      title: of the page.

    Yields:
      the page's URL.

    Raises:
      UserError: the port is taken, or the host is not this machine's.
    """
    with tempfile.TemporaryDirectory(prefix="deeperlab_demo_") as folder:
        # All that Gradio serves besides its own scripts lies here, and goes with it.
        os.environ["GRADIO_TEMP_DIR"] = folder
        os.environ["GRADIO_EXAMPLES_CACHE"] = os.path.join(folder, "examples")
        page = build_page(Answers(keeper, limits, folder), keeper, title)
        page.queue(max_size=limits.queue, api_open=False)
        url = _launch(page, limits, address)
        try:
            yield url
        finally:
            page.close(verbose=False)


def _launch(page, limits, address):
    # Imported here: it comes with Gradio, and that there is one has to be seen first.
    from starlette.middleware import Middleware

    try:
        _, url, _ = page.launch(
            server_name=address.host,
            server_port=address.port or None,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            max_file_size=limits.megabytes * 10**6,
            state_session_capacity=_VISITORS,
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            theme=gradio.themes.Default(**_FONTS),
            css=read_part("style.css"),
            app_kwargs={"middleware": [Middleware(_OwnFiles)]},
        )
    except OSError as error:
        raise UserError(
            f"cannot serve at {address.host}:{address.port} ({error}); "
            "give another --port, or a --host that is this machine's."
        ) from error
    return url


class _OwnFiles:
    """Refuses addresses by which Gradio would fetch pages from elsewhere for a visitor."""

    def __init__(self, app) -> None:
        self._app = app

    async def __call__(self, scope, receive, send):
        path = scope.get("path", "")
        if "file=http" in path or "/proxy=" in path:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"not a file of this page"})
        else:
            await self._app(scope, receive, send)
