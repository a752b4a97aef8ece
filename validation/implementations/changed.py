"""Which settings of its process a kernel changed, of those that other measurements rest on."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Final

#: What is behind a change of which most authors know nothing.
_HINTS: Final = {"denormals": " (a library that was linked with -ffast-math does so as it is loaded: link without it)"}

#: One number of threads, and several: "OMP_NUM_THREADS=2, MKL_NUM_THREADS=2".
_THREADS: Final = frozenset({"torch threads", "thread variables"})


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Returns what each of them was and became, in words; fewer threads are a kernel's own loss.

    Both are what `Worker.state` returns, or `Worker.suites_settings`.
    """
    return sorted(
        f"{name}: {before[name]} became {after[name]}{_HINTS.get(name, '')}"
        for name in before.keys() & after.keys()
        if before[name] != after[name] and not _fewer(name, before[name], after[name])
    )


def _fewer(name: str, before: str, after: str) -> bool:
    """Whether each number of threads is at most what it was."""
    if name not in _THREADS:
        return False
    pairs = list(zip_longest(before.split(", "), after.split(", "), fillvalue=""))
    return all(was == now or _less(was.rpartition("="), now.rpartition("=")) for was, now in pairs)


def _less(before: tuple[str, str, str], after: tuple[str, str, str]) -> bool:
    """Whether the same variable has a smaller number."""
    (*name, was), (*same, now) = before, after
    return name == same and was.isdecimal() and now.isdecimal() and 0 < int(now) < int(was)
