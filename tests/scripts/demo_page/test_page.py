"""The page in a browser: drop, parse, layers, pointer, sliders, downloads; files it refuses.

And what its server gives away: nothing but its own.
"""

import json
import re
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.visualize.drawing import write_image
from demo_page.photos import Limits
from tests.scripts.demo_page.browser import Browser
from tests.scripts.demo_page.made_up import MadeUpKeeper
from tests.scripts.demo_page.steps import all_layers, open_page, wait_for_note

pytest.importorskip("gradio", reason="the extra `demo` is not installed")

LIMITS = Limits(megabytes=1)


@pytest.fixture(scope="module")
def keeper():
    return MadeUpKeeper()


@pytest.fixture(scope="module")
def url(keeper):
    from demo_page.server import Address, serve

    with serve(keeper, LIMITS, Address(port=0), "Made up") as address:
        yield address


@pytest.fixture
def browser(url, chromium, tmp_path):
    with Browser(chromium, str(tmp_path)) as one:
        one.resize(1280, 900)
        open_page(one, url)
        yield one


@pytest.fixture
def photo(tmp_path):
    path = str(tmp_path / "street.png")
    write_image(path, np.full([120, 240, 3], 90, np.uint8))
    return path


def drop(browser, photo):
    browser.drop("#photo", photo)
    wait_for_note(browser, "240 × 120 pixels, 2 objects")
    browser.wait_for("document.querySelector('img.segments')?.naturalWidth")


def test_a_dropped_photo_is_parsed_and_the_pointer_reads_it(browser, photo, url):
    drop(browser, photo)
    assert "car\t0.90\t" in browser.evaluate("document.querySelector('#regions').innerText")
    x, y = browser.middle_of("img.layer")
    width, height = browser.evaluate(
        "(r => [r.width, r.height])(document.querySelector('img.layer').getBoundingClientRect())"
    )
    seen = {}
    places = {"car": (0.25, 0.5), "sky": (0.5, 0.1), "ground": (0.5, 0.9)}
    for place, (right, down) in places.items():
        browser.point_at(x + (right - 0.5) * width, y + (down - 0.5) * height)
        seen[place] = browser.evaluate("document.querySelector('figcaption').textContent")
    assert seen == {"car": "car 0.90", "sky": "sky", "ground": "ground <i>"}
    browser.point_at(5, 5)
    assert browser.evaluate("document.querySelector('figcaption').textContent") == ""

    # Nothing came from elsewhere, and nothing broke.
    foreign = [one for one in browser.requested if not one.startswith((url, "data:", "blob:"))]
    assert foreign == ["about:blank"] * len(foreign)
    assert browser.problems == []


def test_layers_change_the_picture_and_not_the_parse(browser, photo, keeper):
    drop(browser, photo)
    runs = keeper.runs
    assert len(all_layers(browser)) == 6
    browser.wait_for("document.querySelector('#field input')?.value.startsWith('long')")
    assert keeper.runs == runs


def test_sliders_fuse_again_without_the_network(browser, photo, keeper):
    drop(browser, photo)
    runs = keeper.runs
    browser.click("#peak_threshold input[type=range]")  # its middle
    wait_for_note(browser, "1 object,")
    assert keeper.runs == runs


def test_downloads_are_what_is_shown(browser, photo):
    drop(browser, photo)
    browser.click("#peak_threshold input[type=range]")
    wait_for_note(browser, "1 object,")
    for name in ("segments", "labels", "overlay"):
        browser.click(f"#{name}")
    with open(browser.downloaded(".json"), encoding="utf-8") as file:
        (annotation,) = json.load(file)["annotations"]
    assert len(annotation["segments_info"]) == 3
    assert Image.open(browser.downloaded("street.png")).size == (240, 120)
    assert Image.open(browser.downloaded("street_overlay.jpg")).size[0] >= 240


def test_files_that_are_refused_say_why_and_the_next_photo_works(browser, photo, url, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.new("1", (10_000, 6_000)).save(tmp_path / "huge.png")
    browser.drop("#photo", tmp_path / "broken.png")
    wait_for_note(browser, "broken.png cannot be read as a picture")
    open_page(browser, url)
    browser.drop("#photo", tmp_path / "huge.png")
    wait_for_note(browser, "huge.png has 10000 × 6000 pixels")

    open_page(browser, url)
    drop(browser, photo)


def test_a_file_of_too_many_bytes_is_not_taken(browser, photo, keeper, tmp_path):
    runs = keeper.runs
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    write_image(str(tmp_path / "heavy.png"), noise)
    browser.drop("#photo", tmp_path / "heavy.png")
    browser.wait_for("/size|large/i.test(document.body.innerText)")
    assert keeper.runs == runs


# === The server ===


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_this_machine_is_served(url):
    assert re.match(r"http://127\.0\.0\.1:\d+/", url)
    assert status(url) == 200


@pytest.mark.parametrize("prefix", ["gradio_api/file=", "file="])
def test_files_that_are_not_the_pages_own_are_not_served(url, repository, prefix):
    assert status(f"{url}{prefix}{repository / 'setup.py'}") in (403, 404)
    assert status(f"{url}{prefix}/etc/passwd") in (403, 404)
    assert status(f"{url}{prefix}https://example.com/") == 403


def test_a_port_that_is_taken_is_one_sentence(url, keeper):
    from deeperlab_tf.errors import UserError
    from demo_page.server import Address, serve

    port = int(re.search(r":(\d+)", url)[1])
    with pytest.raises(UserError, match="--port"), serve(keeper, LIMITS, Address(port=port), ""):
        pass
