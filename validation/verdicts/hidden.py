"""Whether a candidate's clock leaves out a part of its calls, by what passed beside those of trusted baselines."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
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

#: A quarter of the unclocked calls of an honest kernel took up to 20 us longer than those before them, of NumPy's up
#: to 35 (means of 5 to 10 processes): colder caches than those in which asking was priced.
_UNCLOCKED_SLACK_NS: Final = 50_000

#: No process's calls count as shorter than this share of what is told: a disturbed baseline made some come out at 1 ns,
#: and the interval, of logarithms, so wide that nothing was found.
_LEAST_SHARE: Final = 0.5

#: The baselines whose calls take as long as the candidate's, as nearly as there are any: their blocks hold as many
#: calls, which share what a block costs once. Rounds with fewer of them tell nothing.
_NEAREST: Final = 3

_BY_BASELINES: Final = "what passed beside calls of baselines"
_BY_PARENT: Final = "the parent's clock over calls between which none is read"

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

    def beyond(self, explained_ns: float) -> "_Call":
        """What a call took if so much of what passed beside it is explained."""
        true_ns = max(self.call_ns + self.beside_ns - explained_ns, _LEAST_SHARE * self.call_ns)
        return _Call(told_ns=self.call_ns, true_ns=true_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A call of the candidate in one process: what its clock tells, and what it must have taken, ns."""

    told_ns: float
    true_ns: float


def hides_time(evidence: Evidence, implementation: str) -> str:
    """Returns how much longer the candidate's calls take than its clock tells, in a sentence, or nothing.

    The worker's clock times calls, the parent's all of a block. What passes between the two is the price of asking:
    baselines, whose clock is trusted, tell how much it is. Where no clock is read between calls it is known before.
    """
    for calls_of, by in ((_clocked, _BY_BASELINES), (_unclocked, _BY_PARENT)):
        for on, calls in calls_of(evidence, implementation).items():
            if len(calls) < _PROCESSES:
                continue
            found = ratio([call.true_ns for call in calls], [call.told_ns for call in calls], _CONFIDENCE)
            if found is not None and found.low > 1 + _MARGIN:
                times = f"{scaled('', found.value)} {interval('', found.value, found.low, found.high)} times"
                return f"calls on {on} took {times} as long as their clock tells, by {by}, in {found.count} processes"
    return ""


def _clocked(evidence: Evidence, implementation: str) -> Mapping[str, list[_Call]]:
    """The candidate's calls on each workload, held against what passed beside baselines' in the same round.

    On a GPU a call takes less than the asking; there the host's clock stands beside the GPU's own.
    """
    mine: dict[tuple[str, int], list[_Beside]] = defaultdict(list)
    theirs: dict[tuple[str, int], list[_Beside]] = defaultdict(list)
    for on, number, role, one in _series(evidence):
        beside = _beside(evidence, one)
        if beside is None:
            continue
        if role is Role.BASELINES:
            theirs[on, number].append(beside)
        elif one.implementation == implementation:
            mine[on, number].append(beside)
    found: dict[str, list[_Call]] = defaultdict(list)
    for (on, number), ours in mine.items():
        baselines = theirs[on, number]
        for called in ours if len(baselines) >= _NEAREST else ():
            nearest = sorted(baselines, key=called.times)[:_NEAREST]
            found[on].append(called.beyond(median(other.beside_ns for other in nearest) + _SLACK_NS))
    return found


def _unclocked(evidence: Evidence, implementation: str) -> Mapping[str, list[_Call]]:
    """The same of calls that the parent alone timed: what they took longer than those right before them.

    Those are in the same lull or bustle. No baseline is asked: beside a compiler theirs were up to 0.7 ms longer.
    """
    found: dict[str, list[_Call]] = defaultdict(list)
    for on, _number, role, one in _series(evidence):
        if role is not Role.BASELINES and one.implementation == implementation and one.unclocked:
            call_ns = max(median(block.clocked_ns / block.calls for block in one.unclocked), 1.0)
            longer_ns = sorted(block.longer_ns for block in one.unclocked)
            beside = _Beside(call_ns=call_ns, beside_ns=longer_ns[len(longer_ns) // 4])
            found[on].append(beside.beyond(_UNCLOCKED_SLACK_NS))
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


def _beside_a_call(block: Block) -> float:
    return (block.parent_ns - sum(block.calls_ns)) / len(block.calls_ns)
