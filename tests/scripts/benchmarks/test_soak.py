import pytest

from benchmarks.soak import soak


@pytest.mark.slow
def test_requests_of_mixed_sizes_do_not_fill_the_memory(exported):
    memory = soak(str(exported), requests=200, largest=64)
    assert memory[-1] < 1.1 * memory[len(memory) // 2]
