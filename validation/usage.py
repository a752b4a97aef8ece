"""The user's mistake, told to the user."""


class UsageError(Exception):
    """The input is at fault: the message says what was required, what came and what to do.

    The command line prints the message without a traceback and exits with 2.
    """
