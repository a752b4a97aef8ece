"""Gate: the worker's clock tells what the parent's tells."""

from collections.abc import Sequence
from statistics import mean
from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.busy import lower_quartile
from validation.correctness.integrity.observation import ALL_UNCLOCKED, ONE_UNCLOCKED, Observation, Scene, Seen
from validation.correctness.integrity.verdict import gate
from validation.implementations.clock import MOST_PRICES, Price

#: Beside what asking costs, calls of a quarter of the unclocked blocks may take this much longer than those of the
#: timed blocks before them: a kernel leaves colder caches to what lies between calls than none does. In that quarter
#: ten honest kernels of 33 to 900 us a call were up to 18 us longer, or 11 %, and 24 % (0.12 ms) beside two compilers.
MOST_SHARE: Final = 0.35
SLACK_NS: Final = 30_000

#: Beside timed calls on one token so many prices may pass: 65 to 120 us are the price of one on two Zen3 cores.
MOST_PRICES_OF_ONE: Final = 3.5


def clocks_agree(observation: Observation) -> Gate:
    """Fails when a clock was replaced, when both disagree in most blocks, or when one leaves a share of the time out.

    Mistrusted where asking took longer than the calls, so that nothing could be told. A GPU's calls are timed by two
    clocks, its own and the host's, however short they are.
    """
    faults, doubt = _patched(observation), None
    price, blocks = observation.price, observation.whole
    if price is not None and blocks:
        found = (_disagree(observation, price), _hidden(blocks, price), *_hidden_beside(observation, price))
        found += tuple(_told_short(observation))
        faults += [fault for fault in found if fault]
        drowned = sum(price.of(len(one.calls_ns)) > sum(one.calls_ns) for one in blocks)
        if not observation.on_gpu and not observation.of(Scene.UNCLOCKED) and 2 * drowned > len(blocks):
            doubt = f"asking for a call takes {price.of(1) / 1e6:.3g} ms, more than the call: clocks cannot be compared"
    return gate("clocks_agree", observation, "; ".join(faults) or None, doubt)


def _patched(observation: Observation) -> list[str]:
    """Names of the clocks that were replaced."""
    after = observation.state_after or {}
    # A GPU's clock is read by events, methods of a class as any other.
    events = [name for name in ("elapsed_time", "record") if name in after.get("patched tensor", "")]
    patched = [name for name in (after.get("patched clocks", "none"), *events) if name != "none"]
    return [f"replaced {', '.join(patched)}"] if patched else []


def _disagree(observation: Observation, price: Price) -> str:
    """That most blocks' calls cannot have taken what they are said to; the host disturbs a few."""
    # Both read one clock of the machine's: one that stood still for a while shows by what time it is.
    early = [block for block in observation.blocks if not block.in_time]
    if early:
        return f"{len(early)} of {len(observation.blocks)} blocks: its clock shows another time than the parent's"
    # Calls on one token take no longer than the asking.
    blocks = observation.whole
    disagree = [block for block in blocks if not price.agrees(block.calls_ns, block.parent_ns, block.hosts_ns)]
    if 2 * len(disagree) <= len(blocks):
        return ""
    worst = max(disagree, key=lambda block: abs(block.parent_ns - sum(block.calls_ns)))
    return (
        f"{len(disagree)} of {len(blocks)} blocks: its calls are said to take "
        f"{sum(worst.calls_ns) / 1e6:.3g} ms, and took {worst.parent_ns / 1e6:.3g} ms"
    )


def _hidden_beside(observation: Observation, price: Price) -> list[str]:
    """The same of calls that others without a clock stand beside: those a kernel could answer ahead of them all."""
    one_price = observation.one_price
    of_one = [] if one_price is None else [_hidden(observation.of(Scene.ONE_CLOCKED), one_price, MOST_PRICES_OF_ONE)]
    return [*of_one, _hidden(observation.of(Scene.CLOCKED), price)]


def _hidden(blocks: Sequence[Seen], price: Price, most_prices: float = MOST_PRICES) -> str:
    """That the clock leaves out more, block after block, than asking explains."""
    if not price.hides(blocks, most_prices):
        return ""
    said, took = (sum(ns) for ns in zip(*((sum(b.hosts_ns or b.calls_ns), b.parent_ns) for b in blocks), strict=True))
    asking = sum(price.of(len(block.calls_ns)) for block in blocks)
    return (
        f"its calls are said to take {said / 1e6:.3g} ms in all, and the parent waited {took / 1e6:.3g} ms, "
        f"of which asking explains {asking / 1e6:.3g} ms"
    )


def _told_short(observation: Observation) -> list[str]:
    """That calls take longer where nothing but the parent's clock is read, of one token and of all."""
    faults = []
    for _usual, _alone, clocked, unclocked in (ONE_UNCLOCKED, ALL_UNCLOCKED):
        pairs = list(zip(observation.of(clocked), observation.of(unclocked), strict=False))
        told_ns = [mean(block.calls_ns) for block, _other in pairs]
        took_ns = [_call_ns(block) for _other, block in pairs]
        beyond = [took - (1 + MOST_SHARE) * told - SLACK_NS for told, took in zip(told_ns, took_ns, strict=True)]
        if beyond and lower_quartile(beyond) > 0:
            faults.append(
                f"{unclocked.value} take {lower_quartile(took_ns) / 1e3:.3g} us each, "
                f"and are said to take {lower_quartile(told_ns) / 1e3:.3g} us"
            )
    return faults


def _call_ns(block: Seen) -> float:
    """What a call of an unclocked block took, by the parent's clock, less what asking costs."""
    return (block.parent_ns - block.asking_ns) / len(block.calls_ns)
