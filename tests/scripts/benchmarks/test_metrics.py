import pytest

from benchmarks import metrics


def test_rows_tell_the_speed_of_every_case(monkeypatch):
    monkeypatch.setattr(metrics, "SIZE", (64, 128))
    monkeypatch.setattr(metrics, "ROUNDS", 2)
    rows = metrics.run()
    assert [(row["input"], row["segments"]) for row in rows] == [
        (kind, count) for kind in ("decoded", "files") for count in metrics.SEGMENTS
    ]
    for row in rows:
        assert row["images_per_second"] == pytest.approx(1000 / row["milliseconds"])
