"""A kernel that takes more cores than it was given while it is timed is convicted."""

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged
from validation.evidence.record import Evidence
from validation.performance.sample import CORES_EXCEEDED, Block, ProcessRun, Role
from validation.verdicts.cores import exceeds_cores
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict


def wide(processes: int, *, baselines: bool = False) -> Evidence:
    """Evidence in which every block of so many counted processes used too many cores."""
    evidence = synthetic.evidence(times_us=TIMES)
    counted = [one for one in evidence.processes if not one.discarded and (one.role is Role.BASELINES) is baselines]
    chosen = {id(process) for process in counted[:processes]}

    def widened(process: ProcessRun, block: Block) -> Block:
        changed = {"accepted": False, "reason": CORES_EXCEEDED} if id(process) in chosen else {}
        return block.model_copy(update=changed)

    return synthetic.with_blocks(evidence, widened)


def test_more_cores_in_three_processes_are_found() -> None:
    assert "in 3 of 24 processes" in exceeds_cores(wide(3), synthetic.CANDIDATE)


def test_two_processes_are_no_evidence() -> None:
    assert not exceeds_cores(wide(2), synthetic.CANDIDATE)


def test_its_findings_are_invalid() -> None:
    (finding,) = judged(claim(), wide(3)).findings
    assert finding.verdict is Verdict.INVALID
    assert finding.reason == Reason.CORES_EXCEEDED
    assert "takes more cores than it was given" in finding.explanation


def test_a_baseline_is_trusted() -> None:
    evidence = wide(12, baselines=True)
    assert not exceeds_cores(evidence, "numpy_grouped")
    assert not exceeds_cores(evidence, synthetic.CANDIDATE)
