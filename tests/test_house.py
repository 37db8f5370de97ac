"""The house stands as docs/architecture.md draws it: floors, directions of imports, figures of the
code.

All of it is read from the source, by `ast`: nothing is imported.
"""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.both_stacks

REPOSITORY = Path(__file__).resolve().parents[1]
LIBRARY = "deeperlab_tf"
PIPELINE = "input_pipeline"

# From the ground up: a file may import from its own floor and from those below it.
GROUND = (
    "compat",
    "config",
    "config_json",
    "errors",
    "heads",
    "keypoints",
    "layers",
    "losses",
    "model",
    "paper",
    "pixels",
    "schema",
)
FLOORS = (
    GROUND,
    ("backbones", "fusion", "metrics", "files", "work", "models"),
    ("visualize",),
    ("training", "prediction"),
    ("evaluation", "export"),
    # What programs share: nothing else imports it.
    ("cli",),
)
# The network's file is on the ground floor, for it is the paper's, yet it starts from a backbone.
MAY_CLIMB = {("model", "backbones")}

OF_LIBRARY_IN_PIPELINE = {
    "compat",
    "config",
    "config_json",
    "errors",
    "files",
    "heads",
    "keypoints",
    "pixels",
    "schema",
    "work",
}

MAX_ENTRIES = 26
MAX_PARAMETERS = 8
MAX_PARAMETERS_IN_FUSION = 6
MAX_LINE = 100
LINES_BEFORE = 4  # an import inside a function, where its reason may stand: above a `try:`, say

PUBLIC = {
    "deeperlab_tf/__init__.py": {"build_model", "fuse", "Predictor", "metrics", "backbones"},
    "deeperlab_tf/config.py": {"default_config"},
    "deeperlab_tf/model.py": {"build_model"},
    "deeperlab_tf/fusion/__init__.py": {"fuse"},
    "deeperlab_tf/prediction/predictor.py": {"Predictor"},
    "deeperlab_tf/metrics/__init__.py": {"PanopticQuality", "ParsingCovering", "MeanIoU"},
    "deeperlab_tf/backbones/__init__.py": {"build_backbone", "load_slim_checkpoint"},
    "input_pipeline/__init__.py": {"make_dataset", "make_targets"},
}


# === The source ===


class Source(NamedTuple):
    """A Python file: its path below the repository, its module's name, its text and its tree."""

    path: str
    module: str
    text: str
    tree: ast.Module


class Import(NamedTuple):
    """A statement that imports a module of this repository.

    Attributes:
      source: the importing file.
      module: name of the imported module.
      node: the statement.
      at_start: whether it runs when the file is imported.
    """

    source: Source
    module: str
    node: ast.Import | ast.ImportFrom
    at_start: bool

    def __str__(self) -> str:
        return f"{self.source.path}:{self.node.lineno} imports {self.module}"


@functools.cache
def tracked_sources() -> tuple[Source, ...]:
    """Every tracked Python file; the files there are where this is not a git checkout."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode == 0:
        paths = listed.stdout.splitlines()
    else:
        folders = (LIBRARY, PIPELINE, "experiments", "scripts", "tests")
        found = (path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))
        paths = [path.relative_to(REPOSITORY).as_posix() for path in found]

    present = (path for path in sorted(paths) if (REPOSITORY / path).exists())
    return tuple(read_source(path) for path in present)


def read_source(path: str) -> Source:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    module = path[: -len(".py")].replace("/", ".")
    if module.endswith(".__init__"):
        module = module[: -len(".__init__")]
    return Source(path, module, text, ast.parse(text))


def house_sources() -> list[Source]:
    """Files of the library and of the input pipeline."""
    return [s for s in tracked_sources() if s.module.split(".")[0] in (LIBRARY, PIPELINE)]


def imports_of(source: Source, modules: set[str]) -> list[Import]:
    """The imports of a file that name one of `modules`, those inside functions included."""
    found = []

    def visit(node: ast.AST, at_start: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                names = imported_modules(child, modules)
                found.extend(Import(source, name, child, at_start) for name in names)
            elif not is_type_checking(child):
                is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
                visit(child, at_start and not is_function)

    visit(source.tree, True)
    return found


def is_type_checking(node: ast.AST) -> bool:
    """`if TYPE_CHECKING:`, whose imports never run."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported_modules(node: ast.Import | ast.ImportFrom, modules: set[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in modules]
    # `from package import name`: name may be a module or something in the package's own file.
    names = [f"{node.module}.{alias.name}" for alias in node.names]
    return sorted({name if name in modules else node.module for name in names} & modules)


@functools.cache
def house_imports() -> tuple[Import, ...]:
    modules = {source.module for source in house_sources()}
    found = []
    for source in house_sources():
        found += imports_of(source, modules)
    return tuple(found)


def functions_of(source: Source) -> list[ast.FunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(source.tree) if isinstance(node, kinds)]


def room_of(module: str) -> str:
    """The library's room that a module is in; "" for the public face."""
    return module.partition(".")[2].split(".")[0]


# === Directions ===


def floor_of(room: str) -> int:
    return next(floor for floor, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_has_a_floor():
    rooms = {room_of(s.module) for s in house_sources() if s.module.startswith(f"{LIBRARY}.")}
    known = {room for rooms in FLOORS for room in rooms}
    assert rooms <= known, f"rooms without a floor: {sorted(rooms - known)}"


def test_imports_go_down():
    wrong = []
    for one in house_imports():
        if not one.source.module.startswith(f"{LIBRARY}.") or not one.module.startswith(LIBRARY):
            continue
        above, below = room_of(one.source.module), room_of(one.module)
        climbs = not below or floor_of(below) > floor_of(above)
        if climbs and (above, below) not in MAY_CLIMB:
            wrong.append(str(one))
    assert not wrong, "\n".join(wrong)


def test_the_library_does_not_know_the_input_pipeline():
    wrong = [
        str(one)
        for one in house_imports()
        if one.source.module.startswith(LIBRARY) and one.module.startswith(PIPELINE)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_input_pipeline_takes_only_the_ground_it_needs():
    wrong = [
        str(one)
        for one in house_imports()
        if one.source.module.startswith(PIPELINE)
        and one.module.startswith(LIBRARY)
        and room_of(one.module) not in OF_LIBRARY_IN_PIPELINE
        # A file that is also a program shares with programs what they share.
        and not (room_of(one.module) == "cli" and is_program(one.source))
    ]
    assert not wrong, "\n".join(wrong)


def is_program(source: Source) -> bool:
    return '\nif __name__ == "__main__":\n' in source.text


def test_there_are_no_circles_of_imports():
    """Those inside functions count: a late import may save time, it may not hide a circle."""
    graph = {source.module: set() for source in house_sources()}
    for one in house_imports():
        graph[one.source.module].add(one.module)
    # The public face hands out names of every floor.
    graph[LIBRARY] = set()

    circles = [" -> ".join(circle) for circle in circles_of(graph)]
    assert not circles, "\n".join(circles)


def circles_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """Paths that end where they begin, by depth-first search."""
    circles, done = [], set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            circles.append([*path[path.index(module) :], module])
        elif module not in done:
            for other in sorted(graph[module]):
                visit(other, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return circles


def test_no_library_file_reads_flags():
    wrong = []
    for source in tracked_sources():
        if not source.module.startswith(LIBRARY) or source.module == f"{LIBRARY}.cli":
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and node.module == "absl":
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").replace("absl.", "", 1)}
            elif isinstance(node, ast.Import):
                names = {alias.name.replace("absl.", "", 1) for alias in node.names}
            else:
                continue
            if names & {"app", "flags"}:
                wrong.append(f"{source.path}:{node.lineno}")
    assert not wrong, "\n".join(wrong)


# === Figures ===


def test_the_ground_floor_is_not_a_heap():
    folder = REPOSITORY / LIBRARY
    entries = [path.name for path in folder.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MAX_ENTRIES, sorted(entries)


def test_functions_take_few_parameters():
    wrong = []
    for source in house_sources():
        in_fusion = source.module.startswith(f"{LIBRARY}.fusion")
        most = MAX_PARAMETERS_IN_FUSION if in_fusion else MAX_PARAMETERS
        for function in functions_of(source):
            count = count_parameters(function)
            if count > most:
                wrong.append(f"{source.path}:{function.lineno} {function.name}: {count} > {most}")
    assert not wrong, "\n".join(wrong)


def count_parameters(function: ast.FunctionDef) -> int:
    """Parameters a caller gives: `self` is not one."""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_no_line_is_longer_than_a_hundred_characters():
    wrong = []
    for source in tracked_sources():
        for number, line in enumerate(source.text.splitlines(), start=1):
            if len(line) > MAX_LINE:
                wrong.append(f"{source.path}:{number} has {len(line)}")
    assert not wrong, "\n".join(wrong)


def test_an_import_inside_a_function_says_why():
    """By a comment on its line, in the line after it or in the few before it."""
    wrong = []
    for source in house_sources() + [s for s in tracked_sources() if s.path.startswith("scripts/")]:
        lines = source.text.splitlines()
        for function in functions_of(source):
            for block in blocks_of_imports(function):
                first, last = block[0].lineno - 1, block[-1].end_lineno
                around = lines[first - LINES_BEFORE : last + 1]
                if not any("#" in line for line in around):
                    wrong.append(f"{source.path}:{block[0].lineno} in {function.name}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def blocks_of_imports(function: ast.FunctionDef) -> list[list[ast.stmt]]:
    """Lists of import statements of a function that follow each other."""
    blocks = []
    for node in ast.walk(function):
        for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if not isinstance(body, list):
                continue
            after_import = False
            for statement in body:
                is_import = isinstance(statement, (ast.Import, ast.ImportFrom))
                if is_import and after_import:
                    blocks[-1].append(statement)
                elif is_import:
                    blocks.append([statement])
                after_import = is_import
    return blocks


# === The public face ===


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_the_public_names_are_there(path):
    tree = read_source(path).tree
    defined = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            defined.add(node.value)  # of a table of names that load on first use
    assert PUBLIC[path] <= defined
