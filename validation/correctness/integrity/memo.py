"""Gate: the same work takes the same time, whether or not the kernel has seen its input, or any row of it, before."""

from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation, Scene
from validation.correctness.integrity.verdict import gate

#: The fastest call on known input may take this share of the fastest on fresh input. Warm caches save an honest
#: kernel a tenth or so; looking an answer up saves nearly all, but for hashing the input.
LEAST_SHARE: Final = 0.6


#: What is compared with what: scenes of calls on as many tokens.
_BESIDE: Final = {
    Scene.FRESH: (Scene.AGAIN, Scene.KNOWN, Scene.MANY),
    Scene.ONE_FRESH: (Scene.ONE,),
}

#: A shorter call is the asking, more than the work.
_LEAST_NS: Final = 5_000


def same_time_for_old_and_new(observation: Observation) -> Gate:
    """Fails when tokens seen before, or that could be known beforehand, are much faster than fresh ones."""
    faults = []
    for new, olds in _BESIDE.items():
        fresh = observation.fastest_ns(new)
        for old in olds:
            fastest = observation.fastest_ns(old)
            if fresh is not None and fastest is not None and fastest < LEAST_SHARE * fresh and fresh > _LEAST_NS:
                faults.append(
                    f"{old.value}: {fastest / 1e6:.3g} ms a call, against {fresh / 1e6:.3g} ms on {new.value}"
                )
    return gate("same_time_for_old_and_new", observation, "; ".join(faults) or None)
