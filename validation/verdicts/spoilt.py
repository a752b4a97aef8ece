"""Whether calls on tokens that nobody had seen are left to count as all others do: the rest tells nothing."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import hypergeom

from validation.evidence.record import Evidence
from validation.performance.sample import SEEN_THEN, Series
from validation.performance.statistics import accepts
from validation.verdicts.candidate_blocks import candidate_series
from validation.verdicts.rules import MIN_PAIRS, UNSEEN_PROCESSES
from validation.verdicts.samples import Subject

#: As for unseen tokens: of honest kernels one in a thousand would be accused on a workload. The harness draws in secret
#: where unseen tokens go, so that chance alone decides it. Of 1,073 blocks in 14 runs one was spoilt, by a stranger.
_BY_CHANCE: Final = 0.001

#: Of fewer spoilt blocks with unseen tokens nothing is said.
_LEAST_BLOCKS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoilt:
    """Blocks of one process: all, those `unseen`, those rejected for what the kernel did, and those that are both."""

    blocks: int
    unseen: int
    rejected: int
    both: int

    @property
    def chances(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """How likely 0, 1, 2, ... blocks are both where one has nothing to do with the other."""
        return np.asarray(hypergeom.pmf(np.arange(self.rejected + 1), self.blocks, self.unseen, self.rejected))


def spoils_unseen(evidence: Evidence, implementation: str) -> str:
    """Returns how much oftener blocks with unseen tokens did not count for what the candidate did, or nothing.

    This is Fisher's exact test, process by process: how many blocks of a process are rejected, and how many of them
    hold unseen tokens, may hang on the process; which of them are rejected may not hang on the tokens.
    """
    found: dict[str, list[_Spoilt]] = defaultdict(list)
    for on, series in candidate_series(evidence, implementation):
        found[on].append(_spoilt(series))
    for on, processes in found.items():
        both, unseen = sum(one.both for one in processes), sum(one.unseen for one in processes)
        if both >= _LEAST_BLOCKS and _chance_of(processes) < _BY_CHANCE:
            others = sum(one.rejected for one in processes) - both
            return (
                f"{both} of {unseen} timed blocks on {on} with tokens that nobody had seen did not count for what it "
                f"did meanwhile, and {others} of {sum(one.blocks for one in processes) - unseen} without"
            )
    return ""


def uncounted_unseen(evidence: Evidence, subject: Subject) -> str:
    """Returns in how few processes calls on unseen tokens count, or nothing where they are enough.

    Of evidence without such calls nothing is said, nor of fewer processes than a verdict needs.
    """
    ours = [series for _, series in candidate_series(evidence, subject.implementation) if _is_of(series, subject)]
    if not any(block.unseen for series in ours for block in series.blocks):
        return ""
    rule = evidence.rule_of(subject.device)
    counted = [blocks for one in ours if (blocks := [block for block in one.blocks if accepts(rule, block)])]
    told = sum(any(block.unseen for block in blocks) for blocks in counted)
    if told >= UNSEEN_PROCESSES or len(counted) < MIN_PAIRS:
        return ""
    return f"Of {len(counted)} processes with calls that count {told} had any on tokens that nobody had seen"


def _spoilt(series: Series) -> _Spoilt:
    rejected = [block for block in series.blocks if block.reason in SEEN_THEN]
    return _Spoilt(
        blocks=len(series.blocks),
        unseen=sum(bool(block.unseen) for block in series.blocks),
        rejected=len(rejected),
        both=sum(bool(block.unseen) for block in rejected),
    )


def _chance_of(processes: list[_Spoilt]) -> float:
    """How likely so many blocks or more of all processes are both where one has nothing to do with the other."""
    chances = np.ones(1)
    for one in processes:
        chances = np.convolve(chances, one.chances)
    return float(chances[sum(one.both for one in processes) :].sum())


def _is_of(series: Series, subject: Subject) -> bool:
    return (series.workload, series.dtype, series.device) == (subject.workload, subject.dtype, subject.device)
