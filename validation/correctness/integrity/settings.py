"""Gate: the process is left as it was found."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation, Scene
from validation.correctness.integrity.verdict import gate

#: A kernel may use this many times the cores it was given, all calls together: clocks of CPU time are read a little
#: before a block and a little after.
MOST_CORES: Final = 1.1
_LEAST_NS: Final = 50_000_000

#: What is behind a change of which most authors know nothing.
_HINTS: Final = {"denormals": " (a library that was linked with -ffast-math does so as it is loaded: link without it)"}

#: One number of threads, and several: "OMP_NUM_THREADS=2, MKL_NUM_THREADS=2".
_THREADS: Final = frozenset({"torch threads", "thread variables"})

#: Told by another gate.
_ELSEWHERE: Final = frozenset({"patched clocks"})


def settings_unchanged(observation: Observation) -> Gate:
    """Fails when the kernel changed threads, denormal mode, priority, affinity, or what others see of the process.

    Also when the cores, the priority or the scheduling of the suite's own process changed: a kernel that narrows it to
    one core leaves one to every baseline. So does a file of the suite's, or of a package that baselines are of, which
    was written meanwhile. And when its calls used more cores than it was given threads, whatever was
    set while nobody looked. Fewer threads are its own loss.
    """
    changed = [
        *_changed(observation.state_before or {}, observation.state_after or {}),
        *_changed(observation.suite_before or {}, observation.suite_after or {}),
    ]
    return gate("settings_unchanged", observation, "; ".join([*changed, *_more_cores(observation)]) or None)


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(
        f"{name}: {before[name]} became {after[name]}{_HINTS.get(name, '')}"
        for name in before.keys() & after.keys() - _ELSEWHERE
        if before[name] != after[name] and not _fewer(name, before[name], after[name])
    )


def _more_cores(observation: Observation) -> list[str]:
    # In the first call on so many tokens a kernel may compile itself, by as many processes as the machine has cores.
    first = {id(observation.of(scene)[0]) for scene in (Scene.FIRST, Scene.ONE) if observation.of(scene)}
    blocks = [block for block in observation.blocks if id(block) not in first]
    used, passed = (sum(getattr(block, name) for block in blocks) for name in ("cpu_ns", "parent_ns"))
    if used - observation.threads * passed < _LEAST_NS or used < MOST_CORES * observation.threads * passed:
        return []
    return [f"its calls used {used / passed:.2g} cores, and it was given {observation.threads}"]


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
