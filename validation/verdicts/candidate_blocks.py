"""The timed series of a candidate, and of their blocks those that count, as what is asked of its calls needs them."""

from collections.abc import Iterator

from validation.evidence.record import Evidence
from validation.performance.sample import Block, Role, Series
from validation.performance.statistics import accepts, counted_ns


def candidate_series(evidence: Evidence, implementation: str) -> Iterator[tuple[str, Series]]:
    """Yields every series of the candidate's counted processes, with its workload. Baselines are trusted."""
    for process in evidence.processes:
        if process.role is Role.BASELINES or process.discarded:
            continue
        for series in process.series:
            if series.implementation == implementation:
                yield f"{series.workload} in {series.dtype} ({series.device})", series


def candidate_blocks(
    evidence: Evidence, implementation: str
) -> Iterator[tuple[str, list[tuple[Block, tuple[int, ...]]]]]:
    """Yields, for every series of the candidate's counted processes, its workload and the accepted blocks.

    Each block comes with the times of its calls as they count, ns.
    """
    for on, series in candidate_series(evidence, implementation):
        rule = evidence.rule_of(series.device)
        yield on, [(block, tuple(counted_ns(rule, block))) for block in series.blocks if accepts(rule, block)]
