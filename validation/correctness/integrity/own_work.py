"""Gate: each call does its own work, not the next ones' too."""

from collections import defaultdict
from statistics import mean, median
from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.busy import lower_quartile, torn
from validation.correctness.integrity.observation import ALL_UNCLOCKED, ONE_UNCLOCKED, Observation, Scene
from validation.correctness.integrity.verdict import gate

#: The slowest place in a block may take this many times what the middle one takes, each at its fastest over all blocks.
#: Cold caches make the first call of an honest kernel slower by half; one that works ahead for 7 others, by 8 times.
MOST_SHARE: Final = 4.0

#: Less than this is a thread that has to wake up, or a GPU's clock.
LEAST_NS: Final = 300_000

#: Most calls of a block of several may take this share of the fastest that was made alone, which nobody could put off
#: to another. Threads that wake up and cold caches make an honest one slower by half; on a busy host numba's, asleep
#: between blocks, made 0.37 ms into 0.92, and did so to the first call of every block too.
LEAST_SHARE: Final = 0.6

#: On a GPU a call alone finds the host's caches cold: an honest kernel of a score of launches was seen to take 0.73 ms
#: there and 0.34 in a block. One that does the work of eight takes an eighth.
LEAST_SHARE_ON_GPU: Final = 0.3

#: In a calm block the mean call may take this many times the median one: what a call does for others of its block makes
#: it long and them short. Of honest kernels on a busy host it takes 1.0 to 1.1 times.
MOST_MEAN: Final = 1.15
_CALLS: Final = 3

#: Of short calls, up to 128 in a block, the first take longer than the last. In a calm block the mean is at most so
#: many times the median: 1.0 to 1.2 of honest kernels, and of one that answers 40 tokens at the first call 3 and more.
MOST_MEAN_OF_SHORT: Final = 1.6

#: Where every third or second call answers the next ones too, no few of them are longest, and the middle one may be
#: any. The mean is then 14 times the lower quartile; of honest ones 1.0 to 1.3, where weights are packed when first
#: needed and three of four kept 1.6, and 3.1 where programs beside took cores away from two threads.
MOST_MEAN_OVER_SHORT: Final = 2.0

#: So it takes one thing more. What an honest kernel has ready it has for a call made alone too: the fastest of 13 takes
#: 0.4 to 3.2 times the quartile of those in blocks, with colder caches. Where answers wait it takes 30 to 90 times.
MOST_ALONE_OVER_SHORT: Final = 4.0

#: Of fewer blocks a stranger may have been in each.
_BLOCKS: Final = 4


def does_its_own_work(observation: Observation) -> Gate:
    """Fails when calls do the work of others in their block.

    Those at one place take much longer, block after block; or most, and the first, are much shorter than one that is
    made alone; or some of every block are long, so that the median of all is short; or many are far shorter than any
    made alone. Mistrusted where the host was so busy that blocks alike contradict each other.
    """
    alike = _alike(observation)
    fault = _ahead(observation) or _put_off(observation) or _uneven(alike) or _uneven_if_short(observation)
    fault = fault or _some_ready(observation)
    return gate("does_its_own_work", observation, fault, _unlike(alike))


def _ahead(observation: Observation) -> str | None:
    blocks = [block.calls_ns for block in observation.of(Scene.FRESH, Scene.MANY, Scene.PUBLISHED)]
    longest = max((len(calls) for calls in blocks), default=0)
    # The host only ever makes a call longer: the fastest at each place is the kernel's own.
    fastest = [min(calls[place] for calls in blocks if len(calls) > place) for place in range(longest)]
    if fastest:
        place, usual = max(range(longest), key=lambda one: fastest[one]), median(fastest)
        if fastest[place] > MOST_SHARE * usual and fastest[place] - usual > LEAST_NS:
            return (
                f"call {place + 1} of every block takes {fastest[place] / 1e6:.3g} ms, the others {usual / 1e6:.3g} ms"
            )
    return None


def _put_off(observation: Observation) -> str | None:
    # Tokens that all come from banks, and no batch twice: a memory of answers helps neither, or both.
    blocks = [block.calls_ns for block in observation.of(Scene.KNOWN, Scene.MANY, Scene.PUBLISHED, Scene.SAME_PLACE)]
    alone = min((calls[0] for calls in blocks if len(calls) == 1), default=0)
    # Most calls of a block are short, and of most blocks: one of them may fall into a lull that no call alone had.
    several = [calls for calls in blocks if len(calls) > 1]
    beside = lower_quartile([median(calls) for calls in several] or [alone])
    # Whoever wakes up in a call alone wakes up in the first of several too; who puts work off is short in both.
    first = lower_quartile([calls[0] for calls in several] or [alone])
    least = LEAST_SHARE_ON_GPU if observation.on_gpu else LEAST_SHARE
    if max(beside, first) >= least * alone or alone - beside <= LEAST_NS:
        return None
    return f"a call made alone takes {alone / 1e6:.3g} ms, most of several {beside / 1e6:.3g} ms"


def _alike(observation: Observation) -> list[list[tuple[int, ...]]]:
    """Blocks of several calls, those of as many together, where there are enough of them."""
    by_length = defaultdict(list)
    for block in observation.of(Scene.KNOWN, Scene.FRESH, Scene.MANY, Scene.PUBLISHED):
        by_length[len(block.calls_ns)].append(block.calls_ns)
    return [blocks for length, blocks in by_length.items() if length >= _CALLS and len(blocks) >= _BLOCKS]


def _uneven(alike: list[list[tuple[int, ...]]]) -> str | None:
    for blocks in alike:
        # A stranger on the host makes calls long in some blocks, and not in the calmest quarter of them.
        calm = sorted(blocks, key=_over_the_median)[(len(blocks) - 1) // 4]
        whole, usual = mean(calm), median(calm)
        if whole > MOST_MEAN * usual and whole - usual > LEAST_NS / _CALLS:
            return (
                f"even in a calm block a call takes {whole / 1e6:.3g} ms on average, most of them {usual / 1e6:.3g} ms"
            )
    return None


def _uneven_if_short(observation: Observation) -> str | None:
    for scene in (Scene.ONE_CLOCKED, Scene.CLOCKED):
        blocks = sorted((block.calls_ns for block in observation.of(scene)), key=_over_the_median)
        if not blocks:
            continue
        calm = blocks[(len(blocks) - 1) // 4]
        usual, few = median(calm), sorted(calm)[-max(len(calm) // 8, 1) :]
        # A few of the calls make up most of it: where a core takes its time to speed up many are longer.
        surplus, of_few = sum(calm) - len(calm) * usual, sum(few) - len(few) * usual
        if _over_the_median(calm) > MOST_MEAN_OF_SHORT and surplus > LEAST_NS and 2 * of_few > surplus:
            return (
                f"{scene.value}: even in a calm block the longest takes {max(calm) / 1e3:.3g} us, most of them "
                f"{usual / 1e3:.3g} us"
            )
    return None


def _some_ready(observation: Observation) -> str | None:
    """That many short calls of every block are shorter than any made alone, behind which none waits."""
    for _usual, made_alone, clocked, _unclocked in (ONE_UNCLOCKED, ALL_UNCLOCKED):
        blocks = sorted((block.calls_ns for block in observation.of(clocked)), key=_over_the_short)
        alone = observation.fastest_ns(made_alone)
        if not blocks or alone is None:
            continue
        calm = blocks[(len(blocks) - 1) // 4]
        short = lower_quartile(calm)
        uneven = _over_the_short(calm) > MOST_MEAN_OVER_SHORT and sum(calm) - len(calm) * short > LEAST_NS
        if uneven and alone > MOST_ALONE_OVER_SHORT * short:
            return (
                f"{clocked.value}: even in a calm block many take {short / 1e3:.3g} us, on average "
                f"{mean(calm) / 1e3:.3g} us, and the fastest made alone {alone / 1e3:.3g} us"
            )
    return None


def _over_the_short(calls_ns: tuple[int, ...]) -> float:
    return mean(calls_ns) / max(lower_quartile(calls_ns), 1)


def _over_the_median(calls_ns: tuple[int, ...]) -> float:
    return mean(calls_ns) / max(median(calls_ns), 1)


def _unlike(alike: list[list[tuple[int, ...]]]) -> str | None:
    for blocks in alike:
        if found := torn([mean(calls) for calls in blocks]):
            low, high = (ns / 1e6 for ns in found)
            return f"the host was too busy: a call took {low:.3g} to {high:.3g} ms on average, block by block"
    return None
