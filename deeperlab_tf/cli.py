"""What every program in `scripts/` shares: flags, one-line errors, quiet logs.

Programs import it before anything that loads TensorFlow. It is the only file of the library that
knows command-line flags.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags
from tqdm import tqdm

from deeperlab_tf.config import ANNOTATION_CHOICES, check_config, default_config
from deeperlab_tf.errors import UserError, as_installed, folder
from deeperlab_tf.files import storage
from deeperlab_tf.training.devices import CLUSTER_TIMEOUT, STRATEGIES

if TYPE_CHECKING:
    import tensorflow as tf

    from deeperlab_tf.work.job import Run

# TensorFlow's C++ side prints start-up banners (some of them as errors) that users cannot act on;
# errors that matter reach Python as exceptions. TF_CPP_MIN_LOG_LEVEL=0 shows everything. It has to
# be set before TensorFlow loads.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_CHOICE_HELP = {
    "overlaps": "Which outline is on top.",
    "without_labels": "Photos without labels: an error, pictures of nothing, or left out.",
}
# Pillow warns of oddities in files that are read all the same, or refused with a sentence.
warnings.filterwarnings("ignore", module=r"PIL\.")

# How config_flags refuses --config=FILE where only --config.KEY=VALUE is defined.
_OVERRIDES_ONLY = "Overriding config is not allowed"
_INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it


# === Running ===


def run(main: Callable[[], None], required: Sequence[str] = ()) -> None:
    """Runs `main()` as an absl program.

    Bad input ends as `error: <one sentence>` and exit status 1.

    Args:
      main: function without arguments; it reads `absl.flags.FLAGS`.
      required: names of flags that must be given.
    """
    flags.mark_flags_as_required(required)

    def guarded(argv: Sequence[str]) -> None:
        if len(argv) > 1:
            _fail(f"unexpected argument {argv[1]!r}: every option is a --flag, see --help.")
        try:
            return main()
        except UserError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            sys.exit(_INTERRUPTED)
        except Exception as error:
            # TensorFlow wraps what is raised while reading data.
            quoted = re.search(r"(?:UserError|CorruptRecord): (.+)", str(error))
            if quoted is None:
                raise
            _fail(quoted[1])

    # Names of any script reach any terminal.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.set_verbosity(logging.INFO)
    _name_as_installed()
    app.run(guarded, flags_parser=_parse_flags)


def _name_as_installed() -> None:
    """Has --help name programs, experiments and pages as they are found here."""
    program = sys.modules["__main__"]
    program.__doc__ = as_installed(program.__doc__ or "")
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        flag.help = as_installed(flag.help or "")


# === Flags that several programs have ===


def define_config() -> flags.FlagHolder:
    """Defines --config=EXPERIMENT, with --config.KEY=VALUE for single values.

    Returns:
      the flag; `read_config` reads it.
    """
    holder = config_flags.DEFINE_config_file(
        "config",
        None,
        "Experiment: a file, or the name of one that comes with the program (shapes, street …); "
        "--config.KEY=VALUE changes one value of its config.",
    )
    parser = flags.FLAGS[holder.name].parser
    load = parser.parse
    parser.parse = lambda value: load(find_experiment(value))
    return holder


def find_experiment(value: str) -> str:
    """The file that a value of --config means.

    Args:
      value: path of a file, or the name of an experiment that comes with the program; after a
        colon, what its `get_config` is given.

    Raises:
      UserError: there is no such file, nor an experiment of that name; lists them.

    Example:
      find_experiment("shapes")  # ".../experiments/shapes.py"
    """
    name, colon, argument = value.partition(":")
    if storage.isfile(name) or not name:
        return value
    shipped = folder("experiments")
    known = {}
    for path in shipped.rglob("*.py"):
        # Their paths in a checkout, which the pages have, mean them anywhere.
        known[path.stem] = known[f"experiments/{path.relative_to(shipped).as_posix()}"] = path
    if name in known:
        return f"{known[name]}{colon}{argument}"
    names = ", ".join(sorted(path.stem for path in shipped.glob("*.py")))
    raise UserError(
        f"there is no experiment file {name}; give one, or a name of those that come with the "
        f"program: {names}, and the paper's tables."
    )


def read_config(flag: flags.FlagHolder) -> ConfigDict:
    """The checked config of a flag made by `define_config`.

    Raises:
      UserError: the file cannot be loaded, or a value is bad.
    """
    # ml_collections keeps the failure to load the file until the value is read.
    try:
        return check_config(_with_home(flag.value))
    except OSError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"cannot load the experiment file of --config: {reason}.") from error


def _with_home(config):
    """The config with `~` expanded in its values, which an experiment's file may have."""
    if config is not None:
        for key, value in config.items():
            if isinstance(value, ConfigDict):
                _with_home(value)
            elif isinstance(value, str) and value.startswith("~"):
                config[key] = storage.expanduser(value)
    return config


def define_overrides() -> None:
    """Defines --config.KEY=VALUE for values of a trained model's config; `overrides` reads them."""
    # What the command line names is looked up here, before any flag is parsed.
    with _mistakes_in_flags():
        flag = config_flags.DEFINE_config_dict(
            "config",
            default_config(),
            "--config.KEY=VALUE changes a value of the model's config that leaves its network as "
            "it is: config.data, config.eval and config.fusion.",
        )
    # All values of the config would fill the page of --help.
    flags.FLAGS[flag.name].default_as_str = None


def overrides() -> dict[str, Any]:
    """The values that the flags of `define_overrides` give, by their keys without "config."."""
    return dict(config_flags.get_override_values(flags.FLAGS["config"]))


def define_model(help_text: str) -> flags.FlagHolder:
    """Defines --model with its older name --workdir, and the flags of `define_overrides`.

    Returns:
      the flag of --model; `model` reads both names.
    """
    define_overrides()
    flags.DEFINE_string("workdir", None, "The same as --model, for the folder of a training.")
    return flags.DEFINE_string("model", None, help_text)


def model() -> str | None:
    """What --model or --workdir names.

    Raises:
      UserError: both are given.
    """
    values = flags.FLAGS
    if values.model and values.workdir:
        raise UserError("--model and --workdir are two names of one flag; give one of them.")
    return values.model or values.workdir


def required_model() -> str:
    """What --model or --workdir names.

    Raises:
      UserError: neither is given, or both are.
    """
    given = model()
    if not given:
        raise UserError("give --model: a run, an export or the name of a shipped model.")
    return given


def define_compile() -> flags.FlagHolder:
    """Defines --compile."""
    return flags.DEFINE_bool(
        "compile",
        False,
        "Have XLA compile network and fusion into one step, for a GPU above all; it takes about a "
        "minute once.",
    )


def define_strategy() -> None:
    """Defines --strategy, --tpu and --cluster_timeout; `strategy_from_flags` reads them."""
    flags.DEFINE_string("strategy", "auto", f"Devices to run on: {' | '.join(STRATEGIES)}.")
    flags.DEFINE_string(
        "tpu",
        "",
        "TPU to run on: local | its NAME | grpc://HOST:PORT. Default: TPU_NAME of the environment.",
    )
    flags.DEFINE_float(
        "cluster_timeout",
        CLUSTER_TIMEOUT,
        "Seconds to wait for the other hosts, or the TPU, to answer.",
        lower_bound=0,
    )


def strategy_from_flags() -> tf.distribute.Strategy:
    """The strategy that the flags of `define_strategy` ask for.

    Call it before anything else uses TensorFlow.
    """
    # Imported here: TensorFlow takes seconds, which --help need not wait for.
    from deeperlab_tf.training.strategy import build_strategy

    values = flags.FLAGS
    return build_strategy(values.strategy, values.tpu, values.cluster_timeout)


def define_data(names: Sequence[str], default: str | None) -> None:
    """Defines --dataset, --root, --classes and what annotations mean; `set_data` reads them.

    Args:
      names: of the datasets that there are.
      default: one of them, or None.
    """
    values = default_config().data.annotations
    flags.DEFINE_enum(
        "dataset", default, names, "Which dataset, that is: how its files are laid out."
    )
    flags.DEFINE_string("root", "", "Folder of the dataset as downloaded and unpacked.")
    flags.DEFINE_string(
        "classes",
        "",
        "The file that describes the data (classes.yaml, data.yaml, a JSON …); default: in the "
        "root, see docs/formats.md.",
    )
    flags.DEFINE_string(
        "uncovered",
        values.uncovered,
        "Stuff class of pixels that no outline covers; ignore: they do not count.",
    )
    flags.DEFINE_string("stuff", values.stuff, "Outlined classes that are stuff: road,sky.")
    for key, choices in ANNOTATION_CHOICES.items():
        flags.DEFINE_enum(key, values[key], choices, _CHOICE_HELP[key])
    flags.DEFINE_integer(
        "val_every",
        values.val_every,
        "Of data without splits of their own, every n-th photo is val.",
        lower_bound=2,
    )


def set_data(config: ConfigDict) -> ConfigDict:
    """`config` with what the flags of `define_data` say."""
    values = flags.FLAGS
    config.data.dataset = values.dataset or config.data.dataset
    config.data.root, config.data.classes = values.root, values.classes
    for key in config.data.annotations:
        config.data.annotations[key] = values[key].value
    return config


def define_runner() -> None:
    """Defines --runner; with it, options that are not the program's are Apache Beam's."""
    flags.DEFINE_string(
        "runner",
        "",
        "Do the work on Apache Beam (extra `beam`): DirectRunner, DataflowRunner, FlinkRunner, … "
        "All options that this program does not have go to Beam. Default: without it.",
    )


def runner(scratch: str) -> Run | None:
    """What does jobs as --runner says; None without it.

    Args:
      scratch: folder that all workers can write to.

    Raises:
      UserError: an option that neither the program nor Beam has.
    """
    if not flags.FLAGS.runner:
        return None
    # Imported here: Beam is an extra.
    from deeperlab_tf.work import beam

    beam.parse_options(_beam_options)
    return functools.partial(beam.run, options=list(_beam_options), scratch=scratch)


_beam_options: list[str] = []  # of the command line


# === Errors ===


def _parse_flags(argv: Sequence[str]) -> list[str]:
    with _mistakes_in_flags():
        values = flags.FLAGS
        argv = values.read_flags_from_files(list(argv))
        argv = [expand_home(argument) for argument in argv]
        if not any(re.match("--?runner(=|$)", argument) for argument in argv):
            return values(argv)
        program, *others = values(argv, known_only="runner" in values)
        if "runner" in values:
            _beam_options[:] = [f"--runner={values.runner}", *others]
            return [program]
        return [program, *others]


@contextlib.contextmanager
def _mistakes_in_flags() -> Iterator[None]:
    """Ends the program with one sentence where a flag cannot be read."""
    try:
        yield
    except (flags.Error, UserError) as error:
        message = str(error).split("\n")[0]
        if _OVERRIDES_ONLY in message:
            message = (
                "--config=FILE starts a training; a trained model has its config, of which "
                "--config.KEY=VALUE changes single values."
            )
        _fail(message)
    # Of config_flags: an unknown key, and perhaps the one that was meant.
    except (AttributeError, KeyError) as error:
        meant = re.search(r'Did you mean "(.+)" instead of "(.+)"', str(error))
        if meant is None:
            key = str(error).strip("\"'")
            _fail(f"the config has no key {key!r}; see deeperlab_tf/config.py.")
        _fail(f"the config has no key {meant[2]!r}; did you mean {meant[1]!r}?")
    # Of config_flags: a value of the wrong type.
    except (TypeError, ValueError) as error:
        _fail(_first_line(error))


def expand_home(argument: str) -> str:
    """A command-line argument whose value, if it begins with `~`, begins with the home folder.

    Shells expand `~` only where a word begins, so not in `--output=~/parses`.

    Raises:
      UserError: there is no such user, nor such a file.

    Example:
      expand_home("--config.data.root=~/coco")  # "--config.data.root=/home/me/coco"
    """
    flag, value = re.fullmatch(r"(-[^=]*=|)(.*)", argument, re.DOTALL).groups()
    expanded = storage.expanduser(value)
    if value.startswith("~") and expanded == value and not storage.exists(value):
        name = flag.rstrip("=") or value
        raise UserError(f"{name} begins with {value.split('/')[0]}, which is nobody's home folder.")
    return flag + expanded


def _first_line(error: Exception) -> str:
    return f"in the --config flags: {str(error).splitlines()[0]}"


def _fail(message: str) -> NoReturn:
    # On a line of its own, even where a progress bar stands.
    tqdm.write(f"error: {as_installed(message)}", file=sys.stderr)
    sys.exit(1)
