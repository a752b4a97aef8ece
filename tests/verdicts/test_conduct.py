"""A kernel that does in a timed process what no kernel needs is convicted, whatever its calls took."""

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged
from validation.evidence.record import Evidence
from validation.performance.sample import Role
from validation.verdicts.conduct import misbehaves
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict

OPENED = "open(oracle.py) during forward"


def evidence(role: Role) -> Evidence:
    """Evidence in which one process of the role, the discarded one, did something."""
    clean = synthetic.evidence(times_us=TIMES)
    at = next(place for place, one in enumerate(clean.processes) if one.role is role and one.discarded)
    processes = list(clean.processes)
    processes[at] = processes[at].model_copy(update={"doings": (OPENED,)})
    return clean.model_copy(update={"processes": tuple(processes)})


def test_one_process_is_enough_even_one_that_does_not_count() -> None:
    assert misbehaves(evidence(Role.CANDIDATE), synthetic.CANDIDATE).endswith(f"timed processes: {OPENED}")
    assert not misbehaves(synthetic.evidence(times_us=TIMES), synthetic.CANDIDATE)


def test_its_findings_are_invalid() -> None:
    (finding,) = judged(claim(), evidence(Role.CANDIDATE)).findings
    assert finding.verdict is Verdict.INVALID
    assert finding.reason == Reason.MISBEHAVES
    assert OPENED in finding.explanation


def test_what_was_done_to_a_baseline_is_the_candidates_doing() -> None:
    assert not misbehaves(evidence(Role.BASELINES), "numpy_grouped")
    assert "a baseline's process, open" in misbehaves(evidence(Role.BASELINES), synthetic.CANDIDATE)
