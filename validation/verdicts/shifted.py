"""Whether a candidate's median leaves work out: some calls of every block take long, so that most take little."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean, median
from typing import Final

from validation.evidence.record import Evidence
from validation.performance.statistics import ratio
from validation.verdicts.candidate_blocks import candidate_blocks
from validation.verdicts.rules import DELTA
from validation.verdicts.units import interval, scaled

#: As for unseen tokens: one honest kernel in a thousand would be accused on a workload, had it no margin.
_CONFIDENCE: Final = 0.998

#: What a host takes away makes calls longer here and there, in some blocks: in a calm one the mean call takes as long
#: as the median one, and up to 1.09 times as long where a process has one block, of one token's calls or a GPU's. The
#: lower ends of 97 series of a CPU and of 37 of H200s reached 1.06.
_MARGIN: Final = 2 * DELTA

#: Of fewer processes nothing is said, nor of blocks of fewer calls: of two the median is the mean.
_PROCESSES: Final = 3
_LEAST_CALLS: Final = 3


def shifts_work(evidence: Evidence, implementation: str) -> str:
    """Returns how much longer the candidate's mean call takes than its median, in a sentence, or nothing.

    Work that a call does for others of its block makes those fast; a median of calls then hides it, and a mean does
    not. Of a process's blocks one counts that a quarter are more level than: no stranger made calls of it long.
    """
    for on, calls in _calls(evidence, implementation).items():
        if len(calls) < _PROCESSES:
            continue
        calm = [_calm(blocks) for blocks in calls]
        found = ratio([mean(block) for block in calm], [median(block) for block in calm], _CONFIDENCE)
        if found is not None and found.low > 1 + _MARGIN:
            times = f"{scaled('', found.value)} {interval('', found.value, found.low, found.high)} times"
            return (
                f"the mean call on {on} took {times} as long as the median one in calm blocks, in {found.count} "
                "processes: some calls do the work of others"
            )
    return ""


def _calm(blocks: Sequence[Sequence[int]]) -> Sequence[int]:
    return sorted(blocks, key=lambda calls: mean(calls) / median(calls))[(len(blocks) - 1) // 4]


def _calls(evidence: Evidence, implementation: str) -> dict[str, list[list[Sequence[int]]]]:
    """The accepted blocks of several calls of each of the candidate's processes, ns, by workload."""
    found: dict[str, list[list[Sequence[int]]]] = defaultdict(list)
    for on, blocks in candidate_blocks(evidence, implementation):
        several: list[Sequence[int]] = [calls for _, calls in blocks if len(calls) >= _LEAST_CALLS]
        if several:
            found[on].append(several)
    return found
