"""What one does with the page, and sees of it."""

from __future__ import annotations

import json

from tests.scripts.demo_page.browser import Browser


def open_page(browser: Browser, url: str) -> None:
    """Opens the page, and waits until it answers."""
    browser.open(url)
    browser.wait_for("document.body?.dataset.pointer && document.readyState === 'complete'")
    browser.wait_for("!!document.querySelector('#photo input[type=file]')")


def wait_for_note(browser: Browser, text: str) -> None:
    """Waits for a text below the photo."""
    browser.wait_for(f"document.querySelector('#note').innerText.includes({json.dumps(text)})")


def layer_of(browser: Browser) -> str:
    """What the picture shows: a data URL."""
    return browser.evaluate("document.querySelector('img.layer').src")


def all_layers(browser: Browser) -> set[str]:
    """What the picture shows of each layer, one after the other."""
    seen = {layer_of(browser)}
    for layer in ("classes", "objects", "keypoints", "heatmap", "offsets"):
        browser.click(f"#layer input[value={layer}]")
        known = json.dumps(sorted(seen))
        browser.wait_for(f"!{known}.includes(document.querySelector('img.layer').src)")
        seen.add(layer_of(browser))
    return seen
