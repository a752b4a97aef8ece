"""The timed blocks of a candidate that count, as what is asked of its calls one by one needs them."""

from collections.abc import Iterator

from validation.evidence.record import Evidence
from validation.performance.sample import Block, Role
from validation.performance.statistics import accepts, counted_ns


def candidate_blocks(
    evidence: Evidence, implementation: str
) -> Iterator[tuple[str, list[tuple[Block, tuple[int, ...]]]]]:
    """Yields, for every series of the candidate's counted processes, its workload and the accepted blocks.

    Each block comes with the times of its calls as they count, ns. Baselines are trusted, and come not.
    """
    for process in evidence.processes:
        if process.role is Role.BASELINES or process.discarded:
            continue
        for series in process.series:
            if series.implementation == implementation:
                rule = evidence.rule_of(series.device)
                yield (
                    f"{series.workload} in {series.dtype} ({series.device})",
                    [(block, tuple(counted_ns(rule, block))) for block in series.blocks if accepts(rule, block)],
                )
