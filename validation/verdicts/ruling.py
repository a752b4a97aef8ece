"""A verdict with its code and its sentence, and the words that several steps say."""

from dataclasses import dataclass

from validation.verdicts.observation import Observation
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A verdict with its code and its sentence."""

    verdict: Verdict
    reason: Reason
    explanation: str


def not_tested(reason: Reason, explanation: str) -> Ruling:
    """Returns that this run says nothing of the reading."""
    return Ruling(verdict=Verdict.NOT_TESTED, reason=reason, explanation=explanation)


def found_invalid(reason: Reason, explanation: str) -> Ruling:
    """Returns that a contender is wrong or dishonest."""
    return Ruling(verdict=Verdict.INVALID, reason=reason, explanation=explanation)


def inconclusive(reason: Reason, explanation: str) -> Ruling:
    """Returns that the evidence does not decide."""
    return Ruling(verdict=Verdict.INCONCLUSIVE, reason=reason, explanation=explanation)


def over_what(seen: Observation) -> str:
    """Returns the words that name the baseline, if there is one."""
    return f" over {seen.baseline.subject.implementation}" if seen.baseline is not None else ""
