"""What every program in `scripts/` shares: flags, one-line errors, quiet logs."""

import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags
from tqdm import tqdm

from deeperlab_tf.config import check_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.training.devices import CLUSTER_TIMEOUT, STRATEGIES


def run(main, required=()):
    """Runs `main()` as an absl program; bad input ends as `error: <one sentence>` and exit status
    1.

    Args:
      main: function without arguments; it reads `absl.flags.FLAGS`.
      required: names of flags that must be given.
    """
    flags.mark_flags_as_required(required)

    def guarded(argv):
        if len(argv) > 1:
            _fail(f"unexpected argument {argv[1]!r}: every option is a --flag, see --help.")
        try:
            return main()
        except UserError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            sys.exit(130)
        except Exception as error:
            # TensorFlow wraps what is raised while reading data.
            quoted = re.search(r"(?:UserError|CorruptRecord): (.+)", str(error))
            if quoted is None:
                raise
            _fail(quoted[1])

    logging.set_verbosity(logging.INFO)
    app.run(guarded, flags_parser=_parse_flags)


def define_config():
    """The flag --config=EXPERIMENT.py, with --config.KEY=VALUE for single values; read it by
    `read_config`.
    """
    return config_flags.DEFINE_config_file(
        "config", None, "Experiment file; --config.KEY=VALUE changes one value of its config."
    )


def define_strategy():
    """The flags --strategy, --tpu and --cluster_timeout, which `strategy_from_flags` reads."""
    flags.DEFINE_string("strategy", "auto", f"Devices to run on: {' | '.join(STRATEGIES)}.")
    flags.DEFINE_string(
        "tpu", "", "TPU to run on: local | its NAME | grpc://HOST:PORT. Default: TPU_NAME."
    )
    flags.DEFINE_float(
        "cluster_timeout",
        CLUSTER_TIMEOUT,
        "Seconds to wait for the other hosts, or the TPU, to answer.",
        lower_bound=0,
    )


def strategy_from_flags():
    """The strategy that the flags of `define_strategy` ask for.

    Call it before anything else uses TensorFlow.
    """
    # Imported here: TensorFlow takes seconds, which --help need not wait for.
    from deeperlab_tf.training.strategy import build_strategy

    values = flags.FLAGS
    return build_strategy(values.strategy, values.tpu, values.cluster_timeout)


def read_config(flag):
    """The checked config of a flag made by `define_config`; UserError where the file or a value is
    bad.
    """
    try:
        return check_config(flag.value)
    # Ml_collections keeps the failure to load the file until the value is read.
    except OSError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"cannot load the experiment file of --config: {reason}.") from error


def _parse_flags(argv):
    try:
        return flags.FLAGS(argv)
    except (flags.Error, UserError) as error:
        _fail(str(error).split("\n")[0])
    # Of config_flags: an unknown key, and perhaps the one that was meant.
    except (AttributeError, KeyError) as error:
        meant = re.search(r'Did you mean "(.+)" instead of "(.+)"', str(error))
        _fail(
            f"the config has no key {meant[2]!r}; did you mean {meant[1]!r}?"
            if meant
            else _first_line(error)
        )
    except (TypeError, ValueError) as error:  # of config_flags: a value of the wrong type
        _fail(_first_line(error))


def _first_line(error):
    return f"in the --config flags: {str(error).splitlines()[0]}"


def _fail(message):
    # On a line of its own, even where a progress bar stands.
    tqdm.write(f"error: {message}", file=sys.stderr)
    sys.exit(1)
