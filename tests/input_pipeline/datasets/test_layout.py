"""Names of samples: each its own, and no longer than it has to be."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from input_pipeline.datasets.layout import unique_names

pytestmark = pytest.mark.both_stacks

PARTS = st.lists(st.sampled_from(["a", "b", ".jpg", ".png", "/", "."]), min_size=1, max_size=6)
PATHS = st.lists(PARTS.map("".join), unique=True, max_size=12)


@settings(max_examples=300)
@given(paths=PATHS)
@example(paths=["c.jpg", "c.png", "c.jpg.png"])
def test_names_of_different_files_differ(paths):
    names = unique_names(paths)
    assert len(set(names)) == len(paths)
    assert all(path.startswith(name) for path, name in zip(paths, names))


def test_an_ending_is_kept_only_where_it_has_to_be():
    assert unique_names(["a.jpg", "b/a.jpg", "c.jpg", "c.png"]) == ["a", "b/a", "c.jpg", "c.png"]
