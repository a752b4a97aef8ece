"""Gate: the process is left as it was found."""

from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate

#: Told by another gate.
_ELSEWHERE: Final = frozenset({"patched clocks"})


def settings_unchanged(observation: Observation) -> Gate:
    """Fails when the kernel changed threads, denormal mode, priority, affinity, or what others see of the process.

    Fewer threads are its own loss.
    """
    before, after = observation.state_before or {}, observation.state_after or {}
    changed = [
        f"{name}: {before[name]} became {after[name]}"
        for name in before.keys() & after.keys() - _ELSEWHERE
        if before[name] != after[name] and not _fewer(name, before[name], after[name])
    ]
    return gate("settings_unchanged", observation, "; ".join(sorted(changed)) or None)


def _fewer(name: str, before: str, after: str) -> bool:
    return name == "torch threads" and int(after) < int(before)
