"""Is there enough evidence, and is it quiet enough, to decide anything?"""

from validation.claims.claim import Metric
from validation.correctness.case import Outcome
from validation.performance.sample import Role
from validation.verdicts.explain import measured, percent
from validation.verdicts.figures import decided_by_one
from validation.verdicts.observation import Observation
from validation.verdicts.reasons import Reason
from validation.verdicts.rules import MIN_PAIRS, OWN_CORES, UNSEEN_PROCESSES
from validation.verdicts.ruling import Ruling, inconclusive
from validation.verdicts.samples import own_share
from validation.verdicts.spoilt import uncounted_unseen
from validation.verdicts.units import significant


def enough(seen: Observation) -> bool:
    """Returns whether an interval may be told: of two pairs that differ by 20 % it spans a factor of ten."""
    return seen.pairs >= MIN_PAIRS or decided_by_one(seen.figures)


def noisy(seen: Observation) -> Ruling | None:
    """`inconclusive` when the evidence is too thin or too noisy to decide anything."""
    if not _checked(seen):
        return inconclusive(
            Reason.CORRECTNESS_NOT_CHECKED,
            f"No correctness case of {seen.candidate.subject.implementation} in {seen.reading.dtype} passed, and a "
            "time says nothing of a kernel that was not shown to be right.",
        )
    if not enough(seen):
        one = seen.pairs == 1
        what = f"process pair{' has' if one else 's have'} enough accepted calls"
        if seen.figures:
            what = f"sample{' was' if one else 's were'} taken"
        return inconclusive(Reason.TOO_FEW_PAIRS, f"{seen.pairs} {what}; a verdict needs {MIN_PAIRS}.")
    if seen.estimate is None:
        return inconclusive(
            Reason.TOO_FEW_CALLS, "Too few calls were accepted for an interval of this quantile to have both ends."
        )
    # A figure is not timed by the pairs that the null is about; its own spread has to do.
    return None if seen.reading.metric is Metric.FIGURE else _null(seen) or _uncounted(seen) or _shared(seen)


def _checked(seen: Observation) -> bool:
    """Whether the candidate passed a correctness case; a baseline's every timed output is checked instead."""
    subject = seen.candidate.subject
    return subject.role is not Role.CANDIDATE or any(
        case.outcome is Outcome.PASSED
        for case in seen.evidence.cases
        if (case.implementation, case.dtype) == (subject.implementation, subject.dtype)
    )


def _null(seen: Observation) -> Ruling | None:
    null = seen.null
    if null is None or null.count < MIN_PAIRS:
        return inconclusive(
            Reason.NO_NULL,
            f"The candidate was compared with itself in {0 if null is None else null.count} pairs; a verdict needs "
            f"{MIN_PAIRS}, to know what this run calls different.",
        )
    if null.low > 1 or null.high < 1:
        return inconclusive(
            Reason.NULL_DIFFERS,
            f"The candidate differs from itself by a factor of {significant(null.value)} [{significant(null.low)}, "
            f"{significant(null.high)}] (99 %): this run cannot tell a difference from noise.",
        )
    return None


def _uncounted(seen: Observation) -> Ruling | None:
    """`inconclusive` where so few calls on unseen tokens count that the others' answers may be remembered ones."""
    subject = seen.candidate.subject
    found = uncounted_unseen(seen.evidence, subject) if subject.role is Role.CANDIDATE else ""
    if not found:
        return None
    return inconclusive(
        Reason.UNSEEN_NOT_COUNTED,
        f"{found}; a verdict needs {UNSEEN_PROCESSES}, to know that no answers were remembered.",
    )


def _shared(seen: Observation) -> Ruling | None:
    """`inconclusive` for a share of the hardware's limit where neighbours have part of the hardware."""
    if seen.reading.metric is not Metric.FLOOR_SHARE:
        return None
    share = own_share(seen.evidence, seen.candidate.subject.device)
    if share is None or share >= OWN_CORES:
        return None
    found = "" if seen.estimate is None else f"Measured {measured(seen.reading, seen.estimate)}, but "
    return inconclusive(
        Reason.CORES_SHARED,
        f"{found}this machine's cores usually ran at {percent(share)} of what they reach: its neighbours had the rest. "
        f"A share of the hardware's limit is told where that is {percent(OWN_CORES)} at least.",
    )
