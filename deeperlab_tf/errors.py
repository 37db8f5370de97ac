"""The error that is meant for the person at the keyboard."""


class UserError(ValueError):
    """Bad input. The message is one sentence: what is wrong, in which file or key, what to do.

    Programs print it as one line and exit with status 1 (`deeperlab_tf.cli`), without a traceback.
    """
