"""Gate: the same work takes the same time, whether or not the kernel has seen its input before."""

from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation, Scene
from validation.correctness.integrity.verdict import gate

#: The fastest call on known input may take this share of the fastest on fresh input. Warm caches save an honest
#: kernel a tenth or so; looking an answer up saves nearly all, but for hashing the input.
LEAST_SHARE: Final = 0.6


def same_time_for_old_and_new(observation: Observation) -> Gate:
    """Fails when inputs seen before, or inputs that could be known beforehand, are much faster than fresh ones."""
    fresh = observation.fastest_ns(Scene.FRESH)
    faults = []
    for scene in (Scene.AGAIN, Scene.KNOWN):
        fastest = observation.fastest_ns(scene)
        if fresh is not None and fastest is not None and fastest < LEAST_SHARE * fresh:
            faults.append(
                f"{scene.value}: {fastest / 1e6:.3g} ms a call, against {fresh / 1e6:.3g} ms on {Scene.FRESH.value}"
            )
    return gate("same_time_for_old_and_new", observation, "; ".join(faults) or None)
