import pytest

from benchmarks import loss


@pytest.mark.slow
def test_rows_tell_the_parts_of_a_step(monkeypatch):
    default_config = loss.default_config

    def small_config():
        config = default_config()
        config.data.crop_size = (65, 65)
        config.model.width = 0.1
        return config

    monkeypatch.setattr(loss, "default_config", small_config)
    monkeypatch.setattr(loss, "ROUNDS", 1)
    monkeypatch.setattr(loss, "INPUT_BATCHES", 1)
    monkeypatch.setattr(loss, "_peak_megabytes", lambda part, model: 1.0)
    rows = loss.run()
    parts = ["step", "forward", "losses", "backward", "update", "input", loss.PLAIN_STEP]
    assert [row["part"] for row in rows] == [
        "eq1 sort",
        "eq1 selection",
        loss.PLAIN,
        loss.MINED,
        *parts,
        *parts,
    ]
    for model in ("full", "light"):
        step = {row["part"]: row for row in rows if row.get("model") == model}
        inside = ("forward", "losses", "backward", "update")
        assert sum(step[part]["share"] for part in inside) == pytest.approx(1)
