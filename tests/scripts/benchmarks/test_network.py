import pytest

from benchmarks import network


def test_rows_tell_speed_and_memory_of_every_variant_and_decoder(monkeypatch):
    monkeypatch.setattr(
        network, "VARIANTS", {"Light Wider MNV2": network.VARIANTS["Light Wider MNV2"]}
    )
    monkeypatch.setattr(network, "SIZES", ((33, 33),))
    monkeypatch.setattr(network, "TRAINING_CROP", 33)
    monkeypatch.setattr(network, "TRAINING_BATCH", 1)
    monkeypatch.setattr(network, "_MATRIX_SIDE", 128)
    monkeypatch.setattr(
        network, "in_own_process", lambda function, *arguments, **_: function(*arguments)
    )
    inference, *training = network.run()
    assert inference["gflop_per_second"] == pytest.approx(
        1000 * inference["gflop"] / inference["milliseconds"]
    )
    assert inference["share"] == pytest.approx(
        inference["gflop_per_second"] / inference["matrix_gflop_per_second"]
    )
    assert (inference["variant"], inference["receptive_field"]) == ("Light Wider MNV2", 981)
    assert [row["decoder"] for row in training] == ["s2d", "bilinear"]
    for row in (inference, *training):
        assert row["peak_mb"] > 100 and row["milliseconds"] > 0
