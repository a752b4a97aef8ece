"""Gate: the same work takes the same time, whether or not the kernel has seen its input, or any row of it, before."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from validation.correctness.integrity.busy import lower_quartile, torn
from validation.correctness.integrity.observation import Scene
from validation.correctness.integrity.verdict import gate

if TYPE_CHECKING:
    from validation.correctness.case import Gate
    from validation.correctness.integrity.observation import Observation, Seen

#: Calls on known input may take this share of the fastest on fresh input. Warm caches save an honest
#: kernel a tenth or so; looking an answer up saves nearly all, but for hashing the input.
LEAST_SHARE: Final = 0.6

#: Batches of known tokens in other compositions find nothing warmer than fresh ones do. The middle of 13 pairs of
#: blocks, known over fresh, by the wall's clock: 0.94 to 1.07 for an honest kernel, 0.60 to 0.87 for a memory that
#: serves a third of each batch (16 and 15 looks on two shared Zen3 cores). On a GPU there is nothing beside it. (Now 9
#: pairs for either bank: 0.91 to 1.08 among other programs.)
LEAST_BESIDE: Final = 0.85

#: CPU time is saved as well, however often the host takes the cores away. With as many calls in both blocks: 0.77 to
#: 0.92 for that memory, either bank's tokens in three looks; 0.95 to 1.10 for tokens of which nothing is remembered,
#: but twice in 56: 0.89, where strangers made calls 30 times as long, and 0.84. (With 8 calls beside 4 fresh ones 0.88
#: to 0.98: the first of a block takes more.) It tells the two apart better than the wall's clock, which gave 0.82
#: to 0.97 for that memory among strangers: so that has to be below the second figure only. Alone it convicts nobody: a
#: kernel of torch.compile's came out at 0.51 by it among four programs, three looks in a row.
LEAST_CPU: Final = 0.92
LEAST_WITH_CPU: Final = 0.96

#: Of fewer pairs the middle one may be disturbed.
_LEAST_PAIRS: Final = 5

#: Scenes that are compared with fresh tokens: calls on as many of them.
_AS_MANY: Final = (Scene.AGAIN, Scene.KNOWN, Scene.MANY, Scene.PUBLISHED)

#: Of either bank, each beside fresh ones.
_BANKS: Final = (Scene.MANY, Scene.PUBLISHED)

#: On fewer, each behind fresh ones of the same number.
_FRESH_OF: Final = {
    Scene.ONE: Scene.ONE_FRESH,
    Scene.ONE_PUBLISHED: Scene.ONE_FRESH,
    Scene.FEW: Scene.FEW_FRESH,
}

#: A shorter call is the asking, more than the work.
_LEAST_NS: Final = 5_000


def same_time_for_old_and_new(observation: Observation) -> Gate:
    """Fails when tokens seen before, or that could be known beforehand, are faster than fresh ones.

    Mistrusted where the host was so busy that pairs of blocks contradict each other.
    """
    faults = [_faster(old, _often_ns(observation, old), observation.fastest_ns(Scene.FRESH)) for old in _AS_MANY]
    # Calls of 50 us come with a weight in a cache or without, and a block of them is over before a disturbance is: each
    # block of fresh tokens has one of known ones beside it, and a memory makes most of its calls fast. One that tosses
    # a coin for each block does so in a quarter of them.
    for one, new in _FRESH_OF.items():
        pairs = [
            (median(then.calls_ns), min(fresh.calls_ns))
            for fresh, then in pairwise(observation.blocks)
            if (fresh.scene, then.scene) == (new, one)
        ]
        if pairs:
            known_ns, fresh_ns = sorted(pairs, key=lambda pair: pair[0] / max(pair[1], 1))[len(pairs) // 4]
            # Strangers make as many pairs come out long as short.
            short, long = (sum(wrong(*pair) for pair in pairs) for wrong in (_much_less, _much_more))
            faults.append(_faster(one, known_ns, fresh_ns) if short > 2 * long else "")
    faults += [_faster_beside(observation, old) for old in _BANKS]
    unlike = _unlike([_share(*pair) for old in _BANKS for pair in _neighbours(observation, old)])
    return gate("same_time_for_old_and_new", observation, "; ".join(filter(None, faults)) or None, unlike)


def _neighbours(observation: Observation, old: Scene) -> list[tuple[Seen, Seen]]:
    """Blocks of batches of known tokens, each with one of fresh tokens that was made right before or after it."""
    beside = [{block.scene: block for block in pair} for pair in pairwise(observation.blocks)]
    return [(pair[old], pair[Scene.FRESH]) for pair in beside if pair.keys() == {Scene.FRESH, old}]


def _share(known: Seen, fresh: Seen) -> float:
    """The time of a call on known tokens over that of one on fresh tokens."""
    # The same places: the first calls of a block find cold caches.
    places = min(len(known.calls_ns), len(fresh.calls_ns))
    return median(known.calls_ns[:places]) / median(fresh.calls_ns[:places])


def _cpu_share(known: Seen, fresh: Seen) -> float:
    """The same of CPU time."""
    return (known.cpu_ns / len(known.calls_ns)) / (fresh.cpu_ns / len(fresh.calls_ns))


def _unlike(shares: list[float]) -> str:
    """That the pairs contradict each other, so that nothing can be told from their middle; or nothing."""
    found = torn(shares) if len(shares) >= _LEAST_PAIRS else None
    if found is None:
        return ""
    return f"the host was too busy: known tokens took {found[0]:.2g} to {found[1]:.2g} times as long as fresh ones"


def _faster_beside(observation: Observation, old: Scene) -> str:
    """That batches of known tokens are somewhat faster than fresh ones beside them, most times; or nothing."""
    pairs = _neighbours(observation, old)
    fresh_ns = observation.fastest_ns(Scene.FRESH) or 0
    if len(pairs) < _LEAST_PAIRS or fresh_ns <= _LEAST_NS:
        return ""
    usual = median(_share(*pair) for pair in pairs)
    # A GPU's work takes no CPU time.
    used = [] if observation.on_gpu else [_cpu_share(*pair) for pair in pairs if all(block.cpu_ns for block in pair)]
    if usual >= LEAST_BESIDE if not used else usual >= LEAST_WITH_CPU or median(used) >= LEAST_CPU:
        return ""
    return f"{old.value}: {usual:.0%} of the time of {Scene.FRESH.value} beside them"


def _often_ns(observation: Observation, scene: Scene) -> float | None:
    """The fastest call of the scene; of four blocks and more not of the fastest, which a lull may have made so."""
    fastest = [min(block.calls_ns) for block in observation.of(scene) if block.calls_ns]
    return lower_quartile(fastest) if fastest else None


def _much_less(known_ns: float, fresh_ns: float) -> bool:
    return known_ns < LEAST_SHARE * fresh_ns


def _much_more(known_ns: float, fresh_ns: float) -> bool:
    return LEAST_SHARE * known_ns > fresh_ns


def _faster(old: Scene, known_ns: float | None, fresh_ns: float | None) -> str:
    """That known tokens are much faster, or nothing."""
    if known_ns is None or fresh_ns is None or known_ns >= LEAST_SHARE * fresh_ns or fresh_ns <= _LEAST_NS:
        return ""
    new = _FRESH_OF.get(old, Scene.FRESH)
    return f"{old.value}: {known_ns / 1e6:.3g} ms a call, against {fresh_ns / 1e6:.3g} ms on {new.value}"
