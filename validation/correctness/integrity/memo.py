"""Gate: the same work takes the same time, whether or not the kernel has seen its input, or any row of it, before."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from validation.correctness.integrity.observation import Scene
from validation.correctness.integrity.verdict import gate

if TYPE_CHECKING:
    from validation.correctness.case import Gate
    from validation.correctness.integrity.observation import Observation

#: Calls on known input may take this share of the fastest on fresh input. Warm caches save an honest
#: kernel a tenth or so; looking an answer up saves nearly all, but for hashing the input.
LEAST_SHARE: Final = 0.6


#: Scenes that are compared with fresh tokens: calls on as many of them.
_BESIDE: Final = (Scene.AGAIN, Scene.KNOWN, Scene.MANY)

#: A shorter call is the asking, more than the work.
_LEAST_NS: Final = 5_000


def same_time_for_old_and_new(observation: Observation) -> Gate:
    """Fails when tokens seen before, or that could be known beforehand, are much faster than fresh ones."""
    faults = [_faster(old, _often_ns(observation, old), observation.fastest_ns(Scene.FRESH)) for old in _BESIDE]
    # Calls of 50 us come with a weight in a cache or without, and a block of them is over before a disturbance is: each
    # block of fresh tokens has one of known ones beside it, a memory makes most of its calls fast, and that every time.
    pairs = [
        (median(then.calls_ns), min(fresh.calls_ns))
        for fresh, then in pairwise(observation.blocks)
        if (fresh.scene, then.scene) == (Scene.ONE_FRESH, Scene.ONE)
    ]
    if pairs:
        known_ns, fresh_ns = max(pairs, key=lambda pair: pair[0] / pair[1])
        faults.append(_faster(Scene.ONE, known_ns, fresh_ns))
    return gate("same_time_for_old_and_new", observation, "; ".join(filter(None, faults)) or None)


def _often_ns(observation: Observation, scene: Scene) -> int | None:
    """The fastest call of the scene; of five blocks and more not of the fastest, which a lull may have made so."""
    fastest = sorted(min(block.calls_ns) for block in observation.of(scene) if block.calls_ns)
    return fastest[(len(fastest) - 1) // 4] if fastest else None


def _faster(old: Scene, known_ns: float | None, fresh_ns: float | None) -> str:
    """That known tokens are much faster, or nothing."""
    if known_ns is None or fresh_ns is None or known_ns >= LEAST_SHARE * fresh_ns or fresh_ns <= _LEAST_NS:
        return ""
    new = Scene.ONE_FRESH if old is Scene.ONE else Scene.FRESH
    return f"{old.value}: {known_ns / 1e6:.3g} ms a call, against {fresh_ns / 1e6:.3g} ms on {new.value}"
