"""The page with the network that ships, on a photo of a street."""

import pytest

from demo_page.photos import Limits
from tests.scripts.demo_page.browser import Browser
from tests.scripts.demo_page.steps import all_layers, open_page, wait_for_note

pytest.importorskip("gradio", reason="the extra `demo` is not installed")


@pytest.fixture(scope="module")
def keeper():
    from deeperlab_tf import Predictor
    from deeperlab_tf.prediction.kept_heads import HeadKeeper

    keeper = HeadKeeper(Predictor("street"))
    keeper.warm_up()
    return keeper


@pytest.fixture(scope="module")
def url(keeper):
    from demo_page.server import Address, serve

    with serve(keeper, Limits(), Address(port=0), "DeeperLab: street") as address:
        yield address


@pytest.fixture
def street_photo(data_dir):
    photos = sorted(data_dir.glob("street/photos/*.jpg"))
    if not photos:
        pytest.skip(f"no photos of streets in {data_dir}")
    return photos[0]


# Number of objects in the parse that is shown.
OBJECTS = r"parseInt(document.querySelector('#note').innerText.match(/(\d+) object/)?.[1] ?? -1)"


def test_a_street_is_dropped_parsed_layered_and_fused_again(
    url, keeper, chromium, street_photo, tmp_path, monkeypatch
):
    with Browser(chromium, str(tmp_path)) as browser:
        browser.resize(1280, 900)
        open_page(browser, url)
        browser.drop("#photo", street_photo)
        wait_for_note(browser, "641 × 321 pixels")
        browser.wait_for("document.querySelector('img.segments')?.naturalWidth")
        assert "road" in browser.evaluate("document.querySelector('#regions').innerText")
        many = browser.evaluate(OBJECTS)
        assert many > 0

        # From here on the network must not run.
        monkeypatch.setattr(keeper, "keep", None)
        assert len(all_layers(browser)) == 6
        browser.click("#peak_threshold input[type=range]")  # its middle
        browser.wait_for(f"(fewer => 0 <= fewer && fewer < {many})({OBJECTS})")
        assert browser.problems == []
