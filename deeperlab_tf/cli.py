"""What every program in `scripts/` shares: flags, one-line errors, quiet logs."""

import re
import sys

from absl import app, flags, logging

from deeperlab_tf.errors import UserError


def run(main, required=()):
    """Runs `main()` as an absl program; bad input ends as `error: <one sentence>` and exit status 1.

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
            quoted = re.search(r"UserError: (.+)", str(error))  # TensorFlow wraps what is raised while reading data
            if quoted is None:
                raise
            _fail(quoted[1])

    logging.set_verbosity(logging.INFO)
    app.run(guarded, flags_parser=_parse_flags)


def _parse_flags(argv):
    try:
        return flags.FLAGS(argv)
    except (flags.Error, UserError, FileNotFoundError) as error:  # a missing --config file is a FileNotFoundError
        _fail(str(error).split("\n")[0])
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # config_flags: unknown key, value of wrong type
        _fail(f"in the --config flags: {str(error).splitlines()[0]}")


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
