"""What of the requests under load counts: those a reading's load names, of processes beside no slow probe."""

from validation.claims.claim import Reading
from validation.evidence.record import Evidence
from validation.performance.load import accepts_load
from validation.verdicts.samples import Calls, Subject


def load_calls(reading: Reading, evidence: Evidence, subject: Subject) -> tuple[Calls, ...]:
    """Returns the latencies of each process's requests under the reading's load, in nanoseconds, by round."""
    if reading.load is None:
        return ()
    runs = (
        run
        for run in evidence.loads
        if run.load == reading.load
        and (run.implementation, run.workload, run.dtype, run.device)
        == (subject.implementation, subject.workload, subject.dtype, subject.device)
        and accepts_load(evidence.rule_of(run.device), run)
    )
    return tuple(run.latencies_ns for run in sorted(runs, key=lambda run: run.round))
