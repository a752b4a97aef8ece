"""Whether a candidate answers faster what it could know beforehand, in the very calls that its time is taken from."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from validation.evidence.record import Evidence
from validation.performance.statistics import Estimate, ratio
from validation.verdicts.candidate_blocks import candidate_blocks
from validation.verdicts.rules import DELTA
from validation.verdicts.units import interval, scaled

#: Had it no margin of DELTA, one honest kernel in a thousand would be accused on a workload.
_CONFIDENCE: Final = 0.998

#: One that remembers in a few of its processes moves the mean too little: so many in which every call on unseen tokens,
#: of two at least, takes so many times the median on known ones. It is the gate's own limit, turned round.
_PROCESSES: Final = 3
_LEAST_CALLS: Final = 2
_MANY_TIMES: Final = 1 / 0.6

#: Calls of a process on unseen tokens, and its others, ns.
_Calls = tuple[list[int], list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenCalls:
    """The candidate's accepted calls `on` one workload: `calls` of `all_calls` were on tokens that nobody had seen.

    Those took `ratio` times as long as the others (99.8 % interval; None of fewer than three processes). `fault` says
    in a sentence that this is too long, or nothing.
    """

    on: str
    calls: int
    all_calls: int
    ratio: Estimate | None
    fault: str


def unseen_calls(evidence: Evidence, implementation: str) -> tuple[UnseenCalls, ...]:
    """Returns what is known of the candidate's calls on unseen tokens, by workload."""
    return tuple(_compared(on, calls) for on, calls in _calls(evidence, implementation).items())


def knows_tokens(evidence: Evidence, implementation: str) -> str:
    """Returns how much longer the candidate took for tokens that nobody had seen, in a sentence, or nothing."""
    return next((one.fault for one in unseen_calls(evidence, implementation) if one.fault), "")


def _compared(on: str, calls: Sequence[_Calls]) -> UnseenCalls:
    found = None
    if len(calls) >= _PROCESSES:
        found = ratio([median(unseen) for unseen, _ in calls], [median(known) for _, known in calls], _CONFIDENCE)
    return UnseenCalls(
        on=on,
        calls=sum(len(unseen) for unseen, _ in calls),
        all_calls=sum(len(unseen) + len(known) for unseen, known in calls),
        ratio=found,
        fault=_fault(on, calls, found),
    )


def _fault(on: str, calls: Sequence[_Calls], found: Estimate | None) -> str:
    slow = sum(len(unseen) >= _LEAST_CALLS and min(unseen) > _MANY_TIMES * median(known) for unseen, known in calls)
    if slow >= _PROCESSES:
        return (
            f"in {slow} of {len(calls)} processes on {on} every call on tokens that nobody had seen took more than "
            f"{scaled('', _MANY_TIMES)} times as long as those on tokens of the bank"
        )
    if found is None or found.low <= 1 + DELTA:
        return ""
    times = f"{scaled('', found.value)} {interval('', found.value, found.low, found.high)} times"
    return (
        f"calls on {on} took {times} as long on tokens that nobody had seen as on tokens of the bank, in {found.count} "
        "processes"
    )


def _calls(evidence: Evidence, implementation: str) -> dict[str, list[_Calls]]:
    """The accepted calls of each of the candidate's processes that has both kinds, by workload."""
    found: dict[str, list[_Calls]] = defaultdict(list)
    for on, blocks in candidate_blocks(evidence, implementation):
        unseen = [calls_ns[place] for block, calls_ns in blocks for place in block.unseen]
        known = [ns for block, calls_ns in blocks for place, ns in enumerate(calls_ns) if place not in block.unseen]
        if unseen and known:
            found[on].append((unseen, known))
    return found
