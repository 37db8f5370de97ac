"""The commands and the Python of README and docs: flags and files exist; what can run here runs.

A block that cannot run here says so in the line above it: `<!-- not run by the tests: REASON -->`.
"""

import dataclasses
import os
import re
import shlex
from pathlib import Path

import pytest

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.work.beam import parse_options
from tests.programs import run_program

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for pattern in ("*.md", "docs/*.md", "experiments/*.md")
    for path in REPOSITORY.glob(pattern)
)
PROGRAM = re.compile(r"(?:python|bash) (scripts/\w+\.(?:py|sh))")
# A network and a training that take seconds; the commands stay as they are printed otherwise.
TINY = {
    "scripts/train.py": [
        "--config.train.steps=2",
        "--config.train.batch_size=2",
        "--config.model.width=0.1",
        "--config.model.decoder_channels=8",
        "--config.data.shapes.num_val=4",
        "--config.data.shapes.num_train=8",
        "--config.train.num_panels=0",
    ],
}


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    runs: bool

    @property
    def commands(self):
        """Its shell commands, one line each, without comments."""
        joined = self.text.replace("\\\n", " ")
        lines = (re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks_of(page):
    lines = (REPOSITORY / page).read_text(encoding="utf-8").splitlines()
    whole_page = not any("commands of this page are not run" in line for line in lines)
    blocks, start = [], None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```") and line != "```":
            start = number
        elif start is not None and line == "```":
            marked = start and lines[start - 1].startswith("<!-- not run by the tests:")
            text = "\n".join(lines[start + 1 : number])
            language = lines[start].strip("`")
            blocks.append(Block(page, start + 1, language, text, whole_page and not marked))
            start = None
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
COMMANDS = [
    (block, command)
    for block in BLOCKS
    if block.language == "sh"
    for command in block.commands
    if PROGRAM.search(command)
]


def flags_of(program):
    """Names of the flags of a program, of cli.py and of the programs that it imports."""
    text = (REPOSITORY / program).read_text(encoding="utf-8")
    text += (REPOSITORY / "deeperlab_tf" / "cli.py").read_text(encoding="utf-8")
    for module in re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE):
        path = REPOSITORY / "scripts" / f"{module}.py"
        text += path.read_text(encoding="utf-8") if path.is_file() else ""
    return set(re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", text))


def has_key(config, key):
    for name in key.split("."):
        if name not in config:
            return False
        config = config[name]
    return True


def where(block):
    return f"{block.page}:{block.line}"


@pytest.mark.both_stacks
def test_the_pages_have_commands():
    assert len(COMMANDS) > 20


def is_beams(flag):
    """Whether Apache Beam has an option, as far as can be told where it is not installed."""
    try:
        parse_options([f"--{flag}=1"])
    except UserError as error:
        return "needs Apache Beam" in str(error) or "invalid" in str(error)
    return True


@pytest.mark.both_stacks
@pytest.mark.parametrize("block, command", COMMANDS, ids=lambda item: getattr(item, "page", None))
def test_programs_flags_and_experiments_exist(block, command):
    program = PROGRAM.search(command)[1]
    assert (REPOSITORY / program).is_file(), where(block)
    if program.endswith(".sh"):
        return
    known = flags_of(program)
    for flag in re.findall(r"\s--(?:no)?([\w.]+)", command):
        if flag.startswith("config."):
            assert has_key(default_config(), flag[len("config.") :]), (where(block), flag)
        elif flag not in known:
            assert "--runner=" in command and is_beams(flag), (where(block), flag)
    for experiment in re.findall(r"experiments/[\w/]+\.py", command):
        assert (REPOSITORY / experiment).is_file(), where(block)


@pytest.mark.both_stacks
@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_lead_somewhere(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    folder = (REPOSITORY / page).parent
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("http") or (folder / link).exists(), link
    for path in re.findall(r"`((?:deeperlab_tf|input_pipeline|scripts|tests|docs)/[\w/.]+)`", text):
        assert (REPOSITORY / path).exists(), path


@pytest.mark.both_stacks
@pytest.mark.parametrize("page", PAGES)
def test_commands_are_programs_and_named_experiments_exist(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for command in re.findall(r"\bdeeperlab-([a-z-]+)", text):
        program = command.replace("-", "_")
        assert command == "tf" or (REPOSITORY / "scripts" / f"{program}.py").is_file(), command
    for name in re.findall(r"--config=(\w+)\b(?![./])", text):
        assert name in ("FILE", "X") or list((REPOSITORY / "experiments").rglob(f"{name}.py")), name


def run(arguments, folder):
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    result = run_program(*arguments, cwd=folder, environment={"PYTHONPATH": path})
    assert result.returncode == 0, (arguments, result.stdout[-2000:], result.stderr[-2000:])


def run_command(command, folder):
    words = shlex.split(command)
    assert words[0] == "python", command
    run([folder / words[1], *words[2:], *TINY.get(words[1], [])], folder)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder after the quickstart, with a network that has hardly been trained."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("scripts", "experiments"):
        (folder / name).symlink_to(REPOSITORY / name)
    train = "python scripts/train.py --config=experiments/shapes.py --workdir=quickstart/run"
    run_command(train, folder)
    run_command("python scripts/make_shapes.py --output=quickstart/images --count=2", folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.runs and b.language in ("sh", "python")], ids=where
)
def test_blocks_run(block, workspace):
    if block.language == "python":
        run(["-c", block.text], workspace)
        return
    for command in block.commands:
        run_command(command, workspace)
