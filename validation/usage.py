"""The user's mistake, told to the user."""

from collections.abc import Iterable
from difflib import get_close_matches


class UsageError(Exception):
    """The input is at fault: the message says what was required, what came and what to do.

    The command line prints the message without a traceback and exits with 2.
    """


def unknown_name(noun: str, name: str, known: Iterable[str]) -> UsageError:
    """Returns the error for a `name` that is not among the `known` ones, the close matches first."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return UsageError(f"no {noun} is named {name!r}. {hint}Known: {', '.join(names)}.")
