"""What programs share: they are quiet, and a mistake is one sentence."""

import os
import subprocess
import sys

import pytest

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError

PROGRAM = """
from absl import flags
from deeperlab_tf import cli
{body}
def main():
    {main}

if __name__ == "__main__":
    cli.run(main, {required})
"""


@pytest.fixture
def run_program(repository, tmp_path):
    """Function (*flags, main, body, required): runs a program that does `main`, returns the
    finished process.
    """

    def run(*flags, main="pass", body="", required=()):
        path = tmp_path / "program.py"
        path.write_text(PROGRAM.format(main=main, body=body, required=required))
        environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
        environment["PYTHONPATH"] = str(repository)
        command = [sys.executable, str(path), *flags]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    return run


def test_a_program_with_tensorflow_says_nothing_but_what_it_means_to(run_program):
    main = "import tensorflow as tf; print(int(tf.reduce_sum(tf.ones([3]))))"
    done = run_program(main=main)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_a_log_level_of_the_environment_is_kept(monkeypatch, repository):
    program = "import os; from deeperlab_tf import cli; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="1", PYTHONPATH=str(repository))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    "flags, options, message",
    [
        (
            (),
            {"main": "from deeperlab_tf.errors import UserError; raise UserError('bad: x.')"},
            "bad: x.",
        ),
        (
            (),
            {"main": "raise RuntimeError('in a graph: UserError: bad y.\\ntrace')"},
            "bad y.",
        ),
        (("more",), {}, "unexpected argument 'more': every option is a --flag, see --help."),
        (
            (),
            {"body": "flags.DEFINE_string('name', None, '')", "required": ("name",)},
            "flag --name=None: Flag --name must have a value other than None.",
        ),
        (("--nome=x",), {}, "Unknown command line flag 'nome'"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_one(run_program, flags, options, message):
    done = run_program(*flags, **options)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_not_a_mistake_of_the_user_keeps_its_traceback(run_program):
    done = run_program(main="raise RuntimeError('a defect')")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_an_interruption_has_the_status_of_shells(run_program):
    done = run_program(main="raise KeyboardInterrupt")
    assert done.returncode == 130 and done.stderr == "\ninterrupted\n"


@pytest.mark.parametrize("program", ["evaluate", "predict", "export", "reproduce"])
def test_mistakes_in_flags_need_not_wait_for_tensorflow(repository, program):
    check = f"import {program}, sys; assert 'tensorflow' not in sys.modules"
    path = os.pathsep.join([str(repository), str(repository / "scripts")])
    subprocess.run([sys.executable, "-c", check], check=True, env=dict(os.environ, PYTHONPATH=path))


@pytest.mark.parametrize("prefix", ["--workdir=", "--config.data.root=", "-output=", ""])
def test_a_value_that_begins_with_the_tilde_begins_with_the_home_folder(monkeypatch, prefix):
    monkeypatch.setenv("HOME", "/home/me")
    assert cli.expand_home(f"{prefix}~/runs/a=b") == f"{prefix}/home/me/runs/a=b"
    for other in ("a~b", "./~", "/x/~/y", ""):
        assert cli.expand_home(prefix + other) == prefix + other
    with pytest.raises(UserError, match="nobody's home folder"):
        cli.expand_home(f"{prefix}~nobody-of-that-name/x")


def test_every_flag_of_a_program_expands_the_tilde(run_program, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "flags").write_text("--second=~/b\n")
    body = "first = flags.DEFINE_string('first', '', '')\n"
    body += "second = flags.DEFINE_string('second', '', '')"
    main = "print(first.value, second.value)"
    done = run_program("--first=~/a", "--flagfile=~/flags", body=body, main=main)
    assert done.stdout == f"{tmp_path}/a {tmp_path}/b\n", done.stderr


def test_values_in_an_experiment_expand_the_tilde(run_program, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    text = "from deeperlab_tf.config import default_config\n\n\ndef get_config():\n"
    text += "    config = default_config()\n    config.data.root = '~/data'\n    return config\n"
    (tmp_path / "experiment.py").write_text(text)
    done = run_program(
        "--config=~/experiment.py",
        body="config = cli.define_config()",
        main="print(cli.read_config(config).data.root)",
    )
    assert done.stdout == f"{tmp_path}/data\n", done.stderr
