"""Gate: the same work takes the same time, whether or not the kernel has seen its input, or any row of it, before."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from validation.correctness.integrity.busy import torn
from validation.correctness.integrity.observation import Scene
from validation.correctness.integrity.verdict import gate

if TYPE_CHECKING:
    from validation.correctness.case import Gate
    from validation.correctness.integrity.observation import Observation

#: Calls on known input may take this share of the fastest on fresh input. Warm caches save an honest
#: kernel a tenth or so; looking an answer up saves nearly all, but for hashing the input.
LEAST_SHARE: Final = 0.6

#: Batches of known tokens in other compositions find nothing warmer than fresh ones do. The middle of 13 pairs of
#: blocks, known over fresh: 0.94 to 1.05 for an honest kernel, 0.60 to 0.73 for a memory that serves a third of each
#: batch (9 looks each on two shared Zen3 cores). Of 7 pairs it was 0.86 to 1.06 and 0.66 to 0.79, and one got past.
LEAST_BESIDE: Final = 0.85

#: Of fewer pairs the middle one may be disturbed.
_LEAST_PAIRS: Final = 5

#: Scenes that are compared with fresh tokens: calls on as many of them.
_AS_MANY: Final = (Scene.AGAIN, Scene.KNOWN, Scene.MANY)

#: A shorter call is the asking, more than the work.
_LEAST_NS: Final = 5_000


def same_time_for_old_and_new(observation: Observation) -> Gate:
    """Fails when tokens seen before, or that could be known beforehand, are faster than fresh ones.

    Mistrusted where the host was so busy that pairs of blocks contradict each other.
    """
    faults = [_faster(old, _often_ns(observation, old), observation.fastest_ns(Scene.FRESH)) for old in _AS_MANY]
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
    shares = _beside(observation)
    faults.append(_faster_beside(observation, shares))
    return gate("same_time_for_old_and_new", observation, "; ".join(filter(None, faults)) or None, _unlike(shares))


def _beside(observation: Observation) -> list[float]:
    """The time of batches of known tokens over that of fresh ones beside them."""
    shares = []
    for pair in pairwise(observation.of(Scene.FRESH, Scene.AGAIN, Scene.MANY)):
        calls = {block.scene: block.calls_ns for block in pair}
        if calls.keys() == {Scene.FRESH, Scene.MANY}:
            # The same places: the first calls of a block find cold caches.
            places = min(map(len, calls.values()))
            fresh, known = (median(calls[scene][:places]) for scene in (Scene.FRESH, Scene.MANY))
            shares.append(known / fresh)
    return shares


def _unlike(shares: list[float]) -> str:
    """That the pairs contradict each other, so that nothing can be told from their middle; or nothing."""
    found = torn(shares) if len(shares) >= _LEAST_PAIRS else None
    if found is None:
        return ""
    return f"the host was too busy: known tokens took {found[0]:.2g} to {found[1]:.2g} times as long as fresh ones"


def _faster_beside(observation: Observation, shares: list[float]) -> str:
    """That batches of known tokens are somewhat faster than fresh ones beside them, most times; or nothing."""
    fresh_ns = observation.fastest_ns(Scene.FRESH) or 0
    if len(shares) < _LEAST_PAIRS or fresh_ns <= _LEAST_NS or (usual := median(shares)) >= LEAST_BESIDE:
        return ""
    return f"{Scene.MANY.value}: {usual:.0%} of the time of {Scene.FRESH.value} beside them"


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
