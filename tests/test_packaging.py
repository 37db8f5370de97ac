"""The wheel holds everything: installed into an empty environment, every module imports and every
program runs, in an empty folder; what it requires can be had on every platform.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement

import deeperlab_tf

# Folder of the checkout -> its package in the wheel, and the files of it that are shipped.
FOLDERS = {
    "deeperlab_tf": ("deeperlab_tf", ("*",)),
    "input_pipeline": ("input_pipeline", ("*",)),
    "scripts": ("deeperlab_programs", ("*.py", "*.js", "*.css")),
    "experiments": ("deeperlab_experiments", ("*.py", "*.yaml", "*.md")),
    "docs": ("deeperlab_docs", ("*.md",)),
}
PLATFORMS = {  # sys_platform, platform_machine
    "linux": ("linux", "x86_64"),
    "arm linux": ("linux", "aarch64"),
    "windows": ("win32", "AMD64"),
    "mac": ("darwin", "arm64"),
}
REFERENCE, CURRENT = ("3.9", "3.10", "3.11"), ("3.12", "3.13")


CLEAN = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command, **kwargs):
    command = [str(part) for part in command]
    result = subprocess.run(command, capture_output=True, text=True, env=CLEAN, **kwargs)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def source(repository, tmp_path_factory):
    """A copy of the checkout: building leaves files behind, and takes along what others left."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, folder)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in FOLDERS:
        shutil.copytree(repository / name, folder / name, ignore=ignore)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """Built from the source distribution, which thereby holds all it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source)
    (path,) = folder.glob("*.whl")
    return path


def install(environment, *what):
    """Makes an environment and installs `what` into it; gives the folder of its programs."""
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    # The dependencies, without downloading them again: those of this environment, read after the
    # empty one's own.
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    inherited = run(sys.executable, "-c", where).strip()
    site = run(python, "-c", where).strip()
    with open(os.path.join(site, "zz_dependencies.pth"), "w") as file:
        file.write(f"import sys; sys.path.append({inherited!r})\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps")
    run(*pip, "--no-build-isolation", *what)
    return environment / "bin"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Folder of the programs of an environment that has the wheel, and no checkout."""
    return install(tmp_path_factory.mktemp("installed") / "environment", wheel)


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


# === What is in it ===


def test_every_file_of_the_packages_is_in_the_wheel(wheel, repository):
    """Modules, and what is read beside them: shipped models, the pages' files, experiments."""
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    present = {
        (package / path.relative_to(repository / folder)).as_posix()
        for folder, (package, patterns) in FOLDERS.items()
        for package in [pathlib.PurePosixPath(package)]
        for pattern in patterns
        for path in (repository / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == present
    assert {"deeperlab_tf/py.typed", "deeperlab_tf/models/street/weights.npz"} <= present
    assert "deeperlab_programs/demo_page/style.css" in present


@pytest.mark.slow
def test_every_module_imports_from_the_installed_wheel(wheel, installed, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
    modules = sorted(name[:-3].replace("/", ".").replace(".__init__", "") for name in names)
    # Programs are run, not imported.
    modules = [name for name in modules if not name.startswith("deeperlab_programs.")]
    code = f"""
import importlib, sys
for name in {modules!r}:
    module = importlib.import_module(name)
    assert module.__file__.startswith({str(installed.parent)!r}), module.__file__
"""
    run(installed / "python", "-c", code, cwd=tmp_path)


# === What it can do ===

EVERY_PROGRAM = """
import importlib.metadata, os, sys
# What takes seconds, and so but once.
import tensorflow, matplotlib.pyplot, deeperlab_tf.evaluation.oracle, deeperlab_tf.training.train
import input_pipeline.checks
for distribution in importlib.metadata.distributions(name="deeperlab-tf"):
    points = distribution.entry_points
    break
for point in points:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        sys.argv = [point.name, "--help"]
        point.load()()
        os._exit(2)
    print(point.name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr)
"""
DRAW = """
import cv2, numpy as np
photo = np.full((97, 193, 3), 120, np.uint8)
cv2.rectangle(photo, (40, 30), (100, 80), (200, 40, 30), -1)
cv2.imwrite("photo.png", photo)
"""
TINY = (
    "--config.train.steps=2",
    "--config.train.batch_size=2",
    "--config.train.num_panels=0",
    "--config.model.width=0.1",
    "--config.model.aspp_channels=8",
    "--config.model.decoder_channels=8",
    "--config.data.crop_size=(65,65)",
    "--config.eval.image_size=(65,65)",
    "--config.data.shapes.num_train=8",
    "--config.data.shapes.num_val=2",
)


@pytest.mark.both_stacks
def test_every_program_is_a_command_that_names_commands(installed, repository, tmp_path):
    """What --help says can be typed as it stands, without a checkout."""
    command = [installed / "python", "-c", EVERY_PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=CLEAN)
    statuses = dict(line.split() for line in done.stderr.splitlines() if line.count(" ") == 1)
    names = {path.stem.replace("_", "-") for path in (repository / "scripts").glob("[a-z]*.py")}
    # absl ends --help with status 1.
    assert statuses == {f"deeperlab-{name}": "1" for name in names}, done.stderr
    assert {path.name for path in installed.glob("deeperlab-*")} == set(statuses)
    assert "deeperlab-build-records --dataset=cityscapes" in done.stdout
    elsewhere = re.compile(r"(?<![\w/])(scripts|experiments|docs)/\w|WORKSPACE")
    assert [line for line in done.stdout.splitlines() if elsewhere.search(line)] == []


@pytest.mark.slow
@pytest.mark.both_stacks
def test_a_shipped_model_parses_a_photo_in_an_empty_folder(installed, tmp_path):
    run(installed / "python", "-c", DRAW, cwd=tmp_path)
    run(
        *(installed / "deeperlab-predict", "--model=street"),
        *("--input=photo.png", "--output=parses"),
        cwd=tmp_path,
    )
    assert {"photo.png", "photo.json"} <= set(os.listdir(tmp_path / "parses"))


@pytest.mark.slow
def test_an_experiment_trains_by_its_name_in_an_empty_folder(installed, tmp_path):
    run(installed / "deeperlab-train", "--config=shapes", "--workdir=run", *TINY, cwd=tmp_path)
    assert list((tmp_path / "run" / "checkpoints").glob("ckpt-2*"))


def test_what_is_said_leads_somewhere_without_a_checkout(installed, tmp_path):
    """Programs, experiments, pages and extras; paths of the user's stay theirs."""
    code = (
        "import sys; from deeperlab_tf.errors import as_installed as say; once = say(sys.argv[1])"
    )

    def said(text):
        tell = f"{code}; print(once); print(say(once))"
        once, again = run(installed / "python", "-c", tell, text, cwd=tmp_path).splitlines()
        assert once == again
        return once

    command = "python scripts/build_records.py; scripts/train.py --config=experiments/shapes.py."
    assert said(command) == "deeperlab-build-records; deeperlab-train --config=shapes."
    assert said("pip install -e .[onnx]") == 'pip install "deeperlab-tf[onnx]"'
    for theirs in ("experiments/mine.py", "my/scripts/train.py", "docs/photo.jpg"):
        assert said(theirs) == theirs
    pages = said("docs/formats.md deeperlab_tf/config.py scripts/benchmarks/").split()
    assert all(os.path.isabs(page) and os.path.exists(page) for page in pages)


@pytest.mark.both_stacks
def test_errors_name_commands_and_experiments(installed, tmp_path):
    """What is missing is made by a command that is there."""
    for arguments, sentence in (
        (["--config=shape"], "shapes, shapes_full, street"),
        (["--config=shapes", "--config.data.records=none"], "deeperlab-build-records"),
    ):
        command = [installed / "deeperlab-train", *arguments, "--workdir=run"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=CLEAN)
        assert done.returncode == 1 and sentence in done.stderr, done.stderr
        assert "scripts/" not in done.stderr and "Traceback" not in done.stderr


def test_an_editable_installation_has_the_programs_and_experiments(source, tmp_path):
    programs = install(tmp_path / "environment", "--editable", source)
    empty = tmp_path / "empty"
    empty.mkdir()
    code = """
import deeperlab_experiments.shapes_full, deeperlab_programs, deeperlab_tf.cli
print(deeperlab_experiments.shapes_full.get_config().train.steps)
print(deeperlab_tf.cli.find_experiment("shapes"), deeperlab_programs.__file__)
"""
    said = run(programs / "python", "-c", code, cwd=empty).split()
    assert said == ["9000", f"{source}/experiments/shapes.py", f"{source}/scripts/__init__.py"]
    done = subprocess.run(
        [programs / "deeperlab-make-shapes", "--output=drawn", "--count=1"],
        **{"capture_output": True, "text": True, "cwd": empty, "env": CLEAN},
    )
    assert done.returncode == 0 and (empty / "drawn").is_dir(), done.stderr


# === What it requires ===


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


def test_what_onnx_needs_is_asked_for_only_where_it_can_be_had(required):
    """There is no tf2onnx for Python 3.9 that fits, and the tests' extra must install there."""
    for extra in ("onnx", "test"):
        packages = {v: required("linux", "x86_64", v, extra) for v in (*REFERENCE, *CURRENT)}
        wanted = {"tf2onnx", "onnx", "onnxruntime", "sympy"}
        assert {v: wanted & set(packages[v]) for v in packages} == {
            v: set() if v == "3.9" else wanted for v in packages
        }


@pytest.mark.parametrize("platform", sorted(PLATFORMS))
def test_of_opencv_only_the_headless_package_is_asked_for(required, platform):
    """Both packages own the folder `cv2`: one beside the other breaks it."""
    for version in (*REFERENCE, *CURRENT):
        for extra in ("", "test", "onnx", "serving"):
            packages = required(*PLATFORMS[platform], version, extra)
            found = [name for name in packages if name.startswith("opencv")]
            assert found == ["opencv-python-headless"]
