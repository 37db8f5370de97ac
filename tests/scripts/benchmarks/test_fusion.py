import pytest

from benchmarks import fusion


def test_rows_tell_the_cost_of_every_size_and_number_of_instances(monkeypatch):
    monkeypatch.setattr(fusion, "SIZES", ((65, 97),))
    monkeypatch.setattr(fusion, "INSTANCES", (1, 3))
    monkeypatch.setattr(fusion, "REPEATS", 1)
    monkeypatch.setattr(fusion, "peak_mb", lambda heads, image_size: 1.0)
    rows = fusion.run()
    assert [(row["image_size"], row["instances"]) for row in rows] == [([65, 97], 1), ([65, 97], 3)]
    for row in rows:
        assert row["ratio"] == pytest.approx(row["total_ms"] / row["yardstick_ms"])
        assert row["found"] >= 1
        steps = ("semantics", "refine", "vote", "peaks", "detect", "assign", "merge")
        assert all(row[f"{step}_ms"] > 0 for step in steps)
