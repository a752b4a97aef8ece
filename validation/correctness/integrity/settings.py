"""Gate: the process is left as it was found."""

from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation, Scene
from validation.correctness.integrity.verdict import gate
from validation.implementations.changed import changed

#: A kernel may use this many times the cores it was given, all calls together: clocks of CPU time are read a little
#: before a block and a little after.
MOST_CORES: Final = 1.1
_LEAST_NS: Final = 50_000_000

#: Told by another gate.
_ELSEWHERE: Final = frozenset({"patched clocks"})


def settings_unchanged(observation: Observation) -> Gate:
    """Fails when the kernel changed threads, denormal mode, priority, affinity, or what others see of the process.

    Also when the cores, the priority or the scheduling of the suite's own process changed: a kernel that narrows it to
    one core leaves one to every baseline. So does a file of the suite's, or of a package that baselines are of, which
    was written meanwhile. And when its calls used more cores than it was given threads, whatever was
    set while nobody looked. Fewer threads are its own loss.
    """
    before = {name: value for name, value in (observation.state_before or {}).items() if name not in _ELSEWHERE}
    found = [
        *changed(before, observation.state_after or {}),
        *changed(observation.suite_before or {}, observation.suite_after or {}),
        *_more_cores(observation),
    ]
    return gate("settings_unchanged", observation, "; ".join(found) or None)


def _more_cores(observation: Observation) -> list[str]:
    # In the first call on so many tokens a kernel may compile itself, by as many processes as the machine has cores.
    first = {id(observation.of(scene)[0]) for scene in (Scene.FIRST, Scene.ONE) if observation.of(scene)}
    blocks = [block for block in observation.blocks if id(block) not in first]
    used, passed = (sum(getattr(block, name) for block in blocks) for name in ("cpu_ns", "parent_ns"))
    if used - observation.threads * passed < _LEAST_NS or used < MOST_CORES * observation.threads * passed:
        return []
    return [f"its calls used {used / passed:.2g} cores, and it was given {observation.threads}"]
