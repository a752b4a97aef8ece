"""Runs the cases of the suite through anything that runs a candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.correctness.attempt import attempt
from validation.correctness.judge import Candidate, judge
from validation.correctness.plan import plan_cases
from validation.correctness.question import ask
from validation.correctness.spec import ALL_VARIANTS, PLAIN, CaseSpec, LayerVariant, find_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validation.correctness.attempt import Run
    from validation.correctness.case import Case

__all__ = [
    "ALL_VARIANTS",
    "PLAIN",
    "Candidate",
    "CaseSpec",
    "LayerVariant",
    "check",
    "check_all",
    "find_case",
    "plan_cases",
]


def check(spec: CaseSpec, run: Run, candidate: Candidate) -> Case:
    """Asks one case of the candidate that `run` runs, and judges what it did; never raises what a candidate raises."""
    question = ask(spec)
    return judge(spec, question, attempt(question, run), candidate)


def check_all(specs: Iterable[CaseSpec], run: Run, candidate: Candidate) -> Iterator[Case]:
    """Yields each case as it is judged."""
    for spec in specs:
        yield check(spec, run, candidate)
