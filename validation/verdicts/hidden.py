"""Whether a candidate's clock leaves out a part of its calls, by what passed beside those of trusted baselines."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import mean, median
from typing import Final

from validation.evidence.record import Evidence
from validation.performance.sample import Block, Role, Series
from validation.performance.statistics import accepts, ratio
from validation.verdicts.units import interval, scaled

#: As for unseen tokens: one honest kernel in a thousand would be accused on a workload, had it no margin.
_CONFIDENCE: Final = 0.998

#: Lower ends of 86 series of honest kernels, of the candidate and of every baseline beside the others, on two kinds of
#: CPU with strangers on them, reached 1.001. As much again as half an interval: 1.7 to 3.2 % of 9 to 12 processes.
_MARGIN: Final = 0.02

#: A kernel that returns ids and weights has these copied too: up to 0.1 ms at 1024 tokens, beside 0.6 for the rest.
_SLACK_NS: Final = 100_000

#: Of unclocked calls the copies are in their price; what they cost more out of colder caches than baselines' is not.
_UNCLOCKED_SLACK_NS: Final = 20_000

#: The baselines whose calls take as long as the candidate's, as nearly as there are any: their blocks hold as many
#: calls, which share what a block costs once. Rounds with fewer of them tell nothing.
_NEAREST: Final = 3

#: Of fewer processes of the candidate nothing is said; a round has two.
_PROCESSES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """The middle block of a series: ns of one of its calls by the worker's clock, and what passed beside it."""

    call_ns: float
    beside_ns: float

    def times(self, other: "_Beside") -> float:
        """How many times as long as the other's a call takes, or the other's as this one's: 1 at least."""
        return max(self.call_ns / other.call_ns, other.call_ns / self.call_ns)


def hides_time(evidence: Evidence, implementation: str) -> str:
    """Returns how much longer the candidate's calls take than its clock tells, in a sentence, or nothing.

    The worker's clock times calls, the parent's all of a block. What passes between the two is the price of asking, the
    same for all: baselines, whose clock is trusted, tell how much it is in the same round.
    """
    for beside, slack_ns in ((_beside, _SLACK_NS), (_beside_unclocked, _UNCLOCKED_SLACK_NS)):
        for on, rounds in _rounds(evidence, implementation, beside).items():
            true_ns, told_ns = [], []
            for mine, baselines in rounds:
                beside_ns = median(one.beside_ns for one in sorted(baselines, key=mine.times)[:_NEAREST])
                true_ns.append(max(mine.call_ns + mine.beside_ns - beside_ns - slack_ns, 1.0))
                told_ns.append(mine.call_ns)
            found = ratio(true_ns, told_ns, _CONFIDENCE) if len(told_ns) >= _PROCESSES else None
            if found is not None and found.low > 1 + _MARGIN:
                times = f"{scaled('', found.value)} {interval('', found.value, found.low, found.high)} times"
                return (
                    f"calls on {on} took {times} as long as their clock tells, by what passed beside calls of "
                    f"baselines, in {found.count} processes"
                )
    return ""


def _rounds(
    evidence: Evidence, implementation: str, beside_of: Callable[[Evidence, Series], _Beside | None]
) -> Mapping[str, list[tuple[_Beside, list[_Beside]]]]:
    """The candidate's series of each round on a CPU and the baselines' of that round, by workload.

    On a GPU a call takes less than the asking; there the host's clock stands beside the GPU's own.
    """
    mine: dict[tuple[str, int], list[_Beside]] = defaultdict(list)
    theirs: dict[tuple[str, int], list[_Beside]] = defaultdict(list)
    for on, number, role, one in _series(evidence):
        beside = beside_of(evidence, one)
        if beside is None:
            continue
        if role is Role.BASELINES:
            theirs[on, number].append(beside)
        elif one.implementation == implementation:
            mine[on, number].append(beside)
    found: dict[str, list[tuple[_Beside, list[_Beside]]]] = defaultdict(list)
    for (on, number), ours in mine.items():
        baselines = theirs[on, number]
        if len(baselines) >= _NEAREST:
            found[on].extend((one, baselines) for one in ours)
    return found


def _series(evidence: Evidence) -> Iterator[tuple[str, int, Role, Series]]:
    for process in evidence.processes:
        for one in process.series:
            if one.device == "cpu" and not process.discarded:
                yield f"{one.workload} in {one.dtype}", process.round, process.role, one


def _beside(evidence: Evidence, series: Series) -> _Beside | None:
    rule = evidence.rule_of(series.device)
    blocks = [block for block in series.blocks if accepts(rule, block) and block.calls_ns]
    if not blocks:
        return None
    return _Beside(
        call_ns=max(median(sum(block.calls_ns) / len(block.calls_ns) for block in blocks), 1.0),
        beside_ns=median(_beside_a_call(block) for block in blocks),
    )


def _beside_unclocked(evidence: Evidence, series: Series) -> _Beside | None:
    """The same where the parent alone timed the calls: what they took longer than those right before them."""
    clocked = _beside(evidence, series)
    if clocked is None or not series.unclocked:
        return None
    longer_ns = (block.call_ns - mean(series.blocks[block.behind].calls_ns) for block in series.unclocked)
    return replace(clocked, beside_ns=median(longer_ns))


def _beside_a_call(block: Block) -> float:
    return (block.parent_ns - sum(block.calls_ns)) / len(block.calls_ns)
