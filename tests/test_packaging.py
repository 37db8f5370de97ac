"""The wheel holds everything: installed into an empty environment, every module imports."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest


def run(*command, **kwargs):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, **kwargs
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # Building leaves files behind, and takes along what an earlier build left.
    source = folder / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    for name in ("deeperlab_tf", "input_pipeline"):
        shutil.copytree(
            repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_every_module_imports_from_the_installed_wheel(wheel, repository, tmp_path):
    environment = tmp_path / "empty"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    # The dependencies, without downloading them again: those of this environment, read after the
    # empty one's own.
    inherited = run(
        sys.executable, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    ).strip()
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    with open(os.path.join(site, "zz_dependencies.pth"), "w") as file:
        file.write(f"import sys; sys.path.append({inherited!r})\n")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
    modules = sorted(name[:-3].replace("/", ".").replace(".__init__", "") for name in names)
    present = {
        path.relative_to(repository)
        for folder in ("deeperlab_tf", "input_pipeline")
        for path in (repository / folder).rglob("*.py")
    }
    assert {str(path) for path in present} == set(names)
    code = f"""
import importlib, sys
for name in {modules!r}:
    module = importlib.import_module(name)
    assert module.__file__.startswith({str(site)!r}), module.__file__
"""
    run(python, "-c", code, cwd=tmp_path)


def test_both_stacks_are_told_apart_by_the_python_version(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    required = [
        line.replace('"', "'")
        for line in lines
        if line.startswith("Requires-Dist: ") and "extra" not in line
    ]

    def marker(package):
        return {
            line.split("; ")[1]
            for line in required
            if line.startswith(f"Requires-Dist: {package}") and ";" in line
        }

    assert marker("tensorflow-addons") == {"python_version < '3.12'"}
    assert marker("tf_keras") | marker("tf-keras") == {"python_version >= '3.12'"}
