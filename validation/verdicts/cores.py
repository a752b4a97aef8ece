"""Whether a candidate takes more cores than it was given, in the very calls that its time is taken from."""

from typing import Final

from validation.evidence.record import Evidence
from validation.performance.sample import CORES_EXCEEDED
from validation.verdicts.candidate_blocks import candidate_series

#: As of calls on unseen tokens: what was seen in fewer processes may be an accident of the machine's.
_PROCESSES: Final = 3


def exceeds_cores(evidence: Evidence, implementation: str) -> str:
    """Returns in how many processes timed calls used more CPU time than the given cores have, or nothing."""
    timed = [series for _, series in candidate_series(evidence, implementation) if series.device == "cpu"]
    wide = sum(any(block.reason == CORES_EXCEEDED for block in series.blocks) for series in timed)
    if wide < _PROCESSES:
        return ""
    return (
        f"in {wide} of {len(timed)} processes timed calls used more CPU time than all the cores have that it was given"
    )
