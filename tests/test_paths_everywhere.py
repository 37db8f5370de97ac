"""What a user names may be in a bucket: only `files.storage` asks this machine's disk for it.

Read from the source, by `ast`.
"""

from __future__ import annotations

import ast

import pytest

from tests.test_house import tracked_sources

pytestmark = pytest.mark.both_stacks

OF_THE_DISK = tuple(f"deeperlab_tf/files/{name}.py" for name in ("paths", "storage", "remote"))
# Files that open nothing of a user's by themselves, each with what it opens.
OWN = {
    "deeperlab_tf/errors.py": "what was installed with the library",
    "scripts/__init__.py": "the programs of its folder",
    "deeperlab_tf/files/lock.py": "the lock of a local folder",
    "deeperlab_tf/files/atomic.py": "hidden folders beside a local result, and temporary ones",
    "deeperlab_tf/models/__init__.py": "the models that ship",
    "deeperlab_tf/prediction/c_library.py": "TensorFlow's own library",
    "deeperlab_tf/visualize/fonts.py": "fonts that are installed",
    "scripts/reproduce.py": "the experiments of this repository, by pathlib",
}
OWN_FOLDERS = ("setup.py", "scripts/benchmarks/", "scripts/demo_page/", "experiments/", "tests/")

MODULES = {"glob", "pathlib", "shutil"}
OF_OS = {
    "path",
    "listdir",
    "scandir",
    "walk",
    "makedirs",
    "mkdir",
    "remove",
    "unlink",
    "rename",
    "replace",
    "rmdir",
    "stat",
    "symlink",
}


def disk_uses(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, what) of each place where a syntax tree goes to the disk by itself."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, a.name) for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")[0]
            names = {alias.name for alias in node.names}
            if module in MODULES or (module == "os" and names & OF_OS):
                found.append((node.lineno, f"from {node.module}"))
        elif isinstance(node, ast.Attribute):
            is_os = isinstance(node.value, ast.Name) and node.value.id == "os"
            if is_os and node.attr in OF_OS:
                found.append((node.lineno, f"os.{node.attr}"))
            elif node.attr == "gfile":
                found.append((node.lineno, "gfile"))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "open":
            found.append((node.lineno, "open"))
    return found


def test_only_storage_asks_the_disk_for_what_a_user_names():
    wrong = []
    for source in tracked_sources():
        if source.path in (*OF_THE_DISK, *OWN) or source.path.startswith(OWN_FOLDERS):
            continue
        wrong += [f"{source.path}:{line} {what}" for line, what in disk_uses(source.tree)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.path.join(a, b)",
        "import os\nos.listdir(a)",
        "from os import path",
        "from pathlib import Path",
        "import glob",
        "open(a)",
        "import tensorflow as tf\ntf.io.gfile.exists(a)",
    ],
)
def test_each_way_to_the_disk_is_seen(text):
    assert disk_uses(ast.parse(text))


def test_storage_itself_is_not_seen_as_one():
    text = "from deeperlab_tf.files import storage\nwith storage.open(storage.join(a, b)): pass"
    assert not disk_uses(ast.parse(text))
