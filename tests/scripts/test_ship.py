"""A model that ships, from the command line."""

import json

import pytest


@pytest.fixture(scope="module")
def about(tmp_path_factory):
    path = tmp_path_factory.mktemp("about") / "toy.md"
    path.write_text("Knows shapes.\n")
    return path


@pytest.mark.slow
def test_a_run_is_shipped_and_parses(program, workdir, about, tmp_path):
    metrics = tmp_path / "metrics.json"
    row = dict(pq=0.5, sq=0.5, rq=0.5, iou=0.5)
    totals = {f"{name}{kind}": 0.5 for name in row for kind in ("", "_things", "_stuff")}
    per_class = [dict(row, name="disc")]
    metrics.write_text(json.dumps(dict(totals, pc=0, miou=0, per_class=per_class, num_images=3)))
    output, parses = tmp_path / "toy", tmp_path / "parses"
    flags = (f"--workdir={workdir}", "--name=toy", f"--about={about}", f"--metrics={metrics}")
    done = program("ship.py", *flags, f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert f"wrote {output}" in done.stdout
    card = (output / "README.md").read_text()
    assert "Knows shapes." in card and "| disc | 50.0 |" in card

    (tmp_path / "photo.ppm").write_bytes(b"P6 40 30 255\n" + bytes(range(240)) * 15)
    flags = (f"--model={output}", f"--input={tmp_path / 'photo.ppm'}", f"--output={parses}")
    done = program("predict.py", *flags)
    assert done.returncode == 0, done.stderr
    assert (parses / "photo_overlay.jpg").exists()


def test_mistakes_are_one_sentence(program, error_of, workdir, about, tmp_path):
    def error(**changes):
        flags = dict(workdir=workdir, name="toy", about=about, output=tmp_path / "toy")
        flags.update(changes)
        return error_of(program("ship.py", *(f"--{name}={flags[name]}" for name in flags)))

    assert "exists already; choose another --output, or --replace" in error(output=tmp_path)
    assert "give a Markdown file" in error(about=tmp_path / "gone.md")
    (tmp_path / "no_metrics.json").write_text('{"pq": 1}')
    assert "holds no metrics" in error(metrics=tmp_path / "no_metrics.json")
    assert not (tmp_path / "toy").exists()


def test_an_unknown_model_is_told_the_names(program, error_of, tmp_path):
    (tmp_path / "photo.ppm").write_bytes(b"P6 4 3 255\n" + bytes(36))
    flags = (f"--input={tmp_path / 'photo.ppm'}", f"--output={tmp_path / 'parses'}")
    line = error_of(program("predict.py", "--model=streat", *flags))
    assert "there is no folder streat" in line and "the name of a shipped model: street" in line
    assert not (tmp_path / "parses").exists()
