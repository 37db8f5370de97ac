"""The paper's tables beside this project's numbers."""

import json


def test_a_table_holds_the_papers_numbers_and_ours(program, tmp_path):
    evaluation = tmp_path / "runs" / "table06_2" / "evaluation"
    evaluation.mkdir(parents=True)
    (evaluation / "metrics.json").write_text(json.dumps({"pq": 0.25, "pc": 0.5}))
    output = tmp_path / "table06.md"
    flags = ("--table=6", f"--runs={tmp_path / 'runs'}", "--nomeasure", f"--output={output}")
    result = program("reproduce.py", *flags)
    assert result.returncode == 0, result.stderr
    table = [line for line in output.read_text().splitlines() if line.startswith("| ")]
    head, _, star, rectangle = (line.split(" | ") for line in table)
    cell = {name.strip("| "): index for index, name in enumerate(head)}
    assert star[cell["PQ paper"]] == "24.07" and star[cell["PC paper"]] == "48.23"
    assert star[cell["PQ here"]] == star[cell["network here"]] == "not measured"
    assert rectangle[cell["PQ here"]] == "25.00" and rectangle[cell["PC here"]] == "50.00"
    assert star[cell["receptive field"]] == "981" and star[cell["parameters"]] == "23.09 M"
    assert "not measured" in result.stdout and "rectangle graph" in result.stdout
    rows = json.loads((tmp_path / "table06.json").read_text())["rows"]
    assert [row["experiment"] for row in rows] == ["table06_1_star.py", "table06_2_rectangle.py"]
    assert rows[0]["here"]["gflop"] > 400 and rows[0]["paper"] == {"PQ": 24.07, "PC": 48.23}


def test_a_table_the_paper_does_not_have_is_refused(program, tmp_path):
    result = program("reproduce.py", "--table=12", f"--output={tmp_path / 'x.md'}")
    assert result.returncode == 1 and not list(tmp_path.iterdir())
    assert "error: --table=12 is none of the paper's; give 1 to 11." in result.stderr
