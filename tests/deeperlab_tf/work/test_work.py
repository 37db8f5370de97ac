"""A job comes to the same by one process, by several, and by Apache Beam."""

import math
import os

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.work import beam, local
from deeperlab_tf.work.job import divided, forget, new_key, once, ranges
from tests.tasks import killing_job, numbers_job

pytestmark = pytest.mark.both_stacks

EXPECTED = {"sum": sum(number**2 for number in range(20)), "odd": 10}


def without_nan(result):
    assert math.isnan(result.pop("none"))
    return result


@pytest.mark.parametrize("length, size", [(0, 3), (1, 3), (9, 3), (10, 3), (10, 100)])
def test_ranges_cover_everything_once(length, size):
    tasks = ranges(length, size)
    assert [number for task in tasks for number in range(*task)] == list(range(length))
    assert all(0 < last - first <= size for first, last in tasks)


@pytest.mark.parametrize("length, count", [(0, 3), (1, 3), (9, 3), (10, 3), (52, 46)])
def test_parts_cover_everything_once_and_are_of_one_size(length, count):
    parts = divided(length, count)
    assert [number for part in parts for number in range(*part)] == list(range(length))
    sizes = {last - first for first, last in parts}
    assert len(parts) == min(count, length) and max(sizes, default=0) - min(sizes, default=0) <= 1


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_add_up_what_the_tasks_give(processes):
    assert without_nan(local.run(numbers_job(20), processes)) == EXPECTED


def test_parts_come_in_the_order_of_the_tasks():
    sums = [part[0] for part in local.parts(numbers_job(7), 1)]
    assert sums == [0 + 1 + 4, 9 + 16 + 25, 36]


@pytest.mark.parametrize("processes", [1, 2])
def test_the_first_mistake_is_told(processes):
    with pytest.raises(UserError, match="number 4 is wrong"):
        local.run(numbers_job(20, wrong=4), processes)


@pytest.mark.parametrize("do", [local.run, lambda *given: list(local.parts(*given))])
def test_a_killed_process_is_told_in_one_sentence(do):
    with pytest.raises(UserError) as told:
        do(killing_job(os.getpid()), 2)
    assert str(told.value) == (
        "a process that did a part of dying was killed, most likely as the memory was full; run "
        "again, with fewer processes."
    )


def test_once_is_of_one_job():
    opened = []

    def open_it(name):
        opened.append(name)
        return name

    first, second = new_key(), new_key()
    assert [once(key, open_it, "a") for key in (first, first, second)] == ["a"] * 3
    assert opened == ["a", "a"]
    forget()
    once(first, open_it, "a")
    assert opened == ["a"] * 3


# === Beam ===


@pytest.fixture
def on_beam(tmp_path):
    """Function (job, *options) -> what Beam makes of it."""
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra")

    def run(job, *options):
        result = beam.run(job, ["--runner=DirectRunner", *options], str(tmp_path))
        assert not os.listdir(tmp_path)
        return result

    return run


def test_beam_adds_up_the_same(on_beam, caplog):
    assert without_nan(on_beam(numbers_job(20))) == EXPECTED


@pytest.mark.slow
def test_beam_in_several_processes(on_beam):
    options = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
    assert without_nan(on_beam(numbers_job(20), *options)) == EXPECTED


def test_a_result_that_stays_with_the_workers_is_told(on_beam, monkeypatch):
    monkeypatch.setattr(beam, "write_text", lambda *_: None)
    with pytest.raises(UserError, match="give an --output in a bucket"):
        on_beam(numbers_job(3))


def test_a_mistake_on_beam_is_one_sentence(on_beam):
    with pytest.raises(UserError) as raised:
        on_beam(numbers_job(20, wrong=4))
    assert str(raised.value) == "number 4 is wrong; leave it out."


def test_options_and_runners_that_do_not_exist(on_beam):
    with pytest.raises(UserError, match="has the option --nonsense"):
        on_beam(numbers_job(3), "--nonsense=3")
    with pytest.raises(UserError, match=r"Beam cannot start: .*NoRunner"):
        on_beam(numbers_job(3), "--runner=NoRunner")


def test_without_beam_there_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install -e \.\[beam\]"):
        beam.run(numbers_job(3), ["--runner=DirectRunner"], str(tmp_path))
