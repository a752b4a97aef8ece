"""Whether a candidate did in a timed process what no kernel needs, or changed what other measurements rest on."""

from validation.evidence.record import Evidence
from validation.performance.sample import Role


def misbehaves(evidence: Evidence, implementation: str) -> str:
    """Returns in how many processes, and what was told of the first of them, or nothing.

    One process is enough: it is reported, and no clock has a say in it. A baseline's process counts as the candidate's
    doing: nobody else's code in a run is a stranger's.
    """
    timed = [process for process in evidence.processes if process.role is not Role.BASELINES]
    if implementation not in {series.implementation for process in timed for series in process.series}:
        return ""
    found = [process for process in evidence.processes if process.doings]
    if not found:
        return ""
    whose = "a baseline's process, " if found[0].role is Role.BASELINES else ""
    return f"in {len(found)} of {len(evidence.processes)} timed processes: {whose}{found[0].doings[0]}"
