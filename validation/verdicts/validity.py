"""Is the candidate right and honest? A reading of one that is not has no speed."""

from validation.correctness.case import Outcome
from validation.performance.sample import Role
from validation.verdicts.accusations import accusations
from validation.verdicts.observation import Observation
from validation.verdicts.reasons import Reason
from validation.verdicts.ruling import Ruling, found_invalid
from validation.verdicts.samples import deaths, wrong_outputs


def invalid(seen: Observation) -> Ruling | None:
    """`invalid` when a contender is wrong or dishonest; timed outputs count as much as correctness cases."""
    if seen.reading.device == seen.evidence.device and seen.candidate.subject.role is Role.CANDIDATE:
        found = _failed_checks(seen) or _died(seen)
        if found is not None:
            return found
    for side, reason in ((seen.candidate, Reason.TIMED_OUTPUT_WRONG), (seen.baseline, Reason.BASELINE_WRONG)):
        if side is None:
            continue
        subject = side.subject
        wrong = wrong_outputs(seen.evidence, subject.implementation, subject.dtype, subject.device)
        if wrong:
            return found_invalid(
                reason, f"{wrong} timed outputs of {subject.implementation} in {subject.dtype} were wrong."
            )
    return None


def _failed_checks(seen: Observation) -> Ruling | None:
    name, dtype = seen.candidate.subject.implementation, seen.reading.dtype
    cases = [case for case in seen.evidence.cases if case.implementation == name and case.dtype == dtype]
    failed = [case for case in cases if case.outcome is Outcome.FAILED]
    if failed:
        return found_invalid(
            Reason.CORRECTNESS_FAILED,
            f"{len(failed)} of {len(cases)} cases of {name} in {dtype} failed; the first: {failed[0].repro}",
        )
    for gate in seen.evidence.gates:
        if gate.implementation == name and gate.outcome is Outcome.FAILED:
            return found_invalid(
                Reason.INTEGRITY_FAILED, f"{name} failed the integrity gate {gate.gate}: {gate.message}"
            )
    for one in accusations(seen.evidence, name):
        return found_invalid(one.reason, f"{name} {one.does}: {one.seen}.")
    return None


def _died(seen: Observation) -> Ruling | None:
    found = deaths(seen.evidence, seen.candidate.subject)
    if not found:
        return None
    return found_invalid(Reason.PROCESS_DIED, f"The candidate's process did not answer to the end: {found[0]}")
