import pytest

from benchmarks import startup
from deeperlab_tf import models


def test_rows_tell_the_parts_of_a_start(monkeypatch):
    monkeypatch.setattr(startup, "ROUNDS", 1)
    monkeypatch.setattr(startup, "WARM_IMAGES", 2)
    monkeypatch.setattr(startup, "_TENSORFLOW", "pass")  # which takes seconds
    alone, row = startup.run({"shipped": models.find("street")})
    assert alone["form"] == "pass" and alone["total_s"] > 0
    parts = ("python_s", "import_s", "load_s", "first_s")
    assert row["total_s"] == pytest.approx(sum(row[part] for part in parts))
    assert row["second_s"] < row["first_s"] and row["images_per_s"] > 0
