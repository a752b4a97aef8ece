"""Gate: each call does its own work, not the next ones' too."""

from statistics import median
from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation, Scene
from validation.correctness.integrity.verdict import gate

#: The slowest place in a block may take this many times what the middle one takes, each at its fastest over all blocks.
#: Cold caches make the first call of an honest kernel slower by half; one that works ahead for 7 others, by 8 times.
MOST_SHARE: Final = 4.0

#: Less than this is a thread that has to wake up, or a GPU's clock.
LEAST_NS: Final = 300_000


def does_its_own_work(observation: Observation) -> Gate:
    """Fails when calls at one place in the block take much longer, block after block: they do the others' work too."""
    blocks = [block.calls_ns for block in observation.of(Scene.FRESH, Scene.MANY)]
    longest = max((len(calls) for calls in blocks), default=0)
    # The host only ever makes a call longer: the fastest at each place is the kernel's own.
    fastest = [min(calls[place] for calls in blocks if len(calls) > place) for place in range(longest)]
    fault = None
    if fastest:
        place, usual = max(range(longest), key=lambda one: fastest[one]), median(fastest)
        if fastest[place] > MOST_SHARE * usual and fastest[place] - usual > LEAST_NS:
            fault = (
                f"call {place + 1} of every block takes {fastest[place] / 1e6:.3g} ms, the others {usual / 1e6:.3g} ms"
            )
    return gate("does_its_own_work", observation, fault)
