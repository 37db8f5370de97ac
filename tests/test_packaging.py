"""The wheel holds everything: installed into an empty environment, every module imports; what it
requires can be had on every platform.
"""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement

import deeperlab_tf

FOLDERS = ("deeperlab_tf", "input_pipeline")
PLATFORMS = {  # sys_platform, platform_machine
    "linux": ("linux", "x86_64"),
    "arm linux": ("linux", "aarch64"),
    "windows": ("win32", "AMD64"),
    "mac": ("darwin", "arm64"),
}
REFERENCE, CURRENT = ("3.9", "3.10", "3.11"), ("3.12", "3.13")


def run(*command, **kwargs):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(part) for part in command]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, **kwargs)
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
    ignore = shutil.ignore_patterns("__pycache__")
    for name in FOLDERS:
        shutil.copytree(repository / name, source / name, ignore=ignore)

    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def required(wheel):
    """Function (sys_platform, platform_machine, python_version, extra) -> dict of the packages
    required there, and their versions.
    """
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        lines = archive.read(path).decode().splitlines()
    head = "Requires-Dist: "
    requirements = [Requirement(line[len(head) :]) for line in lines if line.startswith(head)]

    def require(sys_platform, platform_machine, python_version, extra=""):
        environment = {
            "sys_platform": sys_platform,
            "platform_machine": platform_machine,
            "python_version": python_version,
            "extra": extra,
        }
        return {
            one.name.replace("_", "-"): one.specifier
            for one in requirements
            if one.marker is None or one.marker.evaluate(environment)
        }

    return require


@pytest.mark.slow
def test_every_module_imports_from_the_installed_wheel(wheel, repository, tmp_path):
    environment = tmp_path / "empty"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    # The dependencies, without downloading them again: those of this environment, read after the
    # empty one's own.
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    inherited = run(sys.executable, "-c", where).strip()
    site = run(python, "-c", where).strip()
    with open(os.path.join(site, "zz_dependencies.pth"), "w") as file:
        file.write(f"import sys; sys.path.append({inherited!r})\n")

    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
    modules = sorted(name[:-3].replace("/", ".").replace(".__init__", "") for name in names)
    code = f"""
import importlib, sys
for name in {modules!r}:
    module = importlib.import_module(name)
    assert module.__file__.startswith({str(site)!r}), module.__file__
"""
    run(python, "-c", code, cwd=tmp_path)


def test_every_file_of_the_packages_is_in_the_wheel(wheel, repository):
    """Modules, and what is read beside them: the report's files, the marker of types."""
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith(FOLDERS)}
    present = {
        path.relative_to(repository).as_posix()
        for folder in FOLDERS
        for path in (repository / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in shipped if ".dist-info/" not in name} == present
    assert {f"{folder}/py.typed" for folder in FOLDERS} <= present


def test_the_version_is_the_librarys(wheel):
    assert wheel.name.split("-")[1] == deeperlab_tf.__version__


@pytest.mark.parametrize("platform", sorted(PLATFORMS))
def test_both_stacks_are_told_apart_by_the_python_version(required, platform):
    for version in REFERENCE:
        packages = required(*PLATFORMS[platform], version)
        assert "2.15.1" in packages["tensorflow"] and "tf-keras" not in packages
        assert "1.26.4" in packages["numpy"] and "2.1.0" not in packages["numpy"]
    for version in CURRENT:
        packages = required(*PLATFORMS[platform], version)
        assert "2.15.1" not in packages["tensorflow"] and "2.18.0" in packages["tf-keras"]
        assert "tensorflow-addons" not in packages


@pytest.mark.parametrize("version", REFERENCE)
def test_tensorflow_addons_is_optional_and_asked_for_only_where_it_has_wheels(required, version):
    with_addons = {
        (name, extra)
        for name, where in PLATFORMS.items()
        for extra in ("", "addons", "test")
        if "tensorflow-addons" in required(*where, version, extra)
    }
    assert with_addons == {("linux", "addons"), ("linux", "test")}


@pytest.mark.parametrize("platform", sorted(PLATFORMS))
def test_of_opencv_only_the_headless_package_is_asked_for(required, platform):
    """Both packages own the folder `cv2`: one beside the other breaks it."""
    for version in (*REFERENCE, *CURRENT):
        for extra in ("", "test", "onnx", "serving"):
            packages = required(*PLATFORMS[platform], version, extra)
            found = [name for name in packages if name.startswith("opencv")]
            assert found == ["opencv-python-headless"]
