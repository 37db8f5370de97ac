import pytest

from tests.scripts.demo_page.browser import find_chromium


@pytest.fixture(scope="session")
def chromium():
    """Path of a browser."""
    path = find_chromium()
    if path is None:
        pytest.skip("there is no Chromium; $DEEPERLAB_TEST_CHROMIUM names one")
    return path
