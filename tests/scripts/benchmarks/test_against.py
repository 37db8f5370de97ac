import pytest

from benchmarks import against, fusion
from benchmarks.options import Options
from deeperlab_tf.errors import UserError


def test_two_checkouts_take_turns(repository, monkeypatch):
    monkeypatch.setattr(against, "INSTANCES", (2,))
    monkeypatch.setattr(against, "ROUNDS", 3)
    rows = fusion.run(Options(sizes=((65, 97),), against=str(repository)))
    assert [row["sizes"] for row in rows] == ["known", "unknown"]
    for row in rows:
        assert (row["image_size"], row["instances"]) == ([65, 97], 2)
        assert min(row["ms"], row["other_ms"]) > 0
        # It is the same code.
        assert 0.1 < row["processor_ratio"] < 10


def test_what_is_no_checkout_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there is no checkout"):
        fusion.run(Options(against=str(tmp_path)))
    (tmp_path / "deeperlab_tf" / "fusion").mkdir(parents=True)
    (tmp_path / "deeperlab_tf" / "__init__.py").write_text("")
    monkeypatch.setattr(against, "SIZES", ((65, 65),))
    with pytest.raises(UserError, match="cannot be called: ImportError"):
        fusion.run(Options(against=str(tmp_path)))
