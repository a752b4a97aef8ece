"""Small words of a report: counts, lists, machines and dates."""

from collections.abc import Sequence
from typing import Final

from validation.evidence.record import Evidence

_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def count(number: int, noun: str, plural: str = "") -> str:
    """Returns `one claim`, `12 claims`."""
    return f"{number_word(number)} {noun if number == 1 else plural or noun + 's'}"


def number_word(number: int) -> str:
    """Returns `two`, `12`."""
    return _NUMBERS[number] if number < len(_NUMBERS) else f"{number:,}"


def listed(items: Sequence[str]) -> str:
    """Returns `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def sentence(text: str) -> str:
    """Returns the text with a capital at its beginning and a full stop at its end."""
    return f"{text[0].upper()}{text[1:]}."


def machine_name(evidence: Evidence) -> str:
    """Returns the hardware in words, without anything that names its owner."""
    environment = evidence.environment
    host = f"{environment.cpu_model} ({count(environment.cores, 'core')})"
    if environment.gpu is not None:
        return f"{environment.gpu.name} in a host with {host}"
    return host


def day(timestamp: str) -> str:
    """Returns the date of an ISO 8601 timestamp."""
    return timestamp[:10]
