import pytest

from benchmarks import loss
from tests.toys import tiny_config


@pytest.mark.slow
def test_rows_tell_the_parts_of_a_step(monkeypatch):
    monkeypatch.setattr(loss, "default_config", tiny_config)
    monkeypatch.setattr(loss, "set_network", lambda model, name: None)
    monkeypatch.setattr(loss, "_MODELS", {"full": ""})
    monkeypatch.setattr(loss, "ROUNDS", 1)
    monkeypatch.setattr(loss, "INPUT_BATCHES", 1)
    monkeypatch.setattr(loss, "_peak_megabytes", lambda part, model: 1.0)
    rows = {row["part"]: row for row in loss.run()}
    selections = ["eq1 sort", "eq1 selection", loss.PLAIN, loss.MINED]
    step = ["step", "forward", "losses", "backward", "update", "input", loss.PLAIN_STEP]
    assert list(rows) == [*selections, *step]
    inside = ("forward", "losses", "backward", "update")
    assert sum(rows[part]["share"] for part in inside) == pytest.approx(1)
    assert {part for part, row in rows.items() if "peak_mb" in row} == {
        loss.PLAIN,
        loss.MINED,
        "step",
        loss.PLAIN_STEP,
    }
