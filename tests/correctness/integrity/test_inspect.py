"""A gate that judges by the clock convicts only what it catches every time; the others convict at once."""

import pytest

from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.inspect import BY_THE_CLOCK, _both

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED


@pytest.mark.parametrize(
    ("name", "before", "now", "outcome"),
    [
        ("clocks_agree", FAILED, PASSED, PASSED),
        ("clocks_agree", PASSED, FAILED, PASSED),
        ("clocks_agree", FAILED, FAILED, FAILED),
        ("guards_held", FAILED, PASSED, FAILED),
        ("guards_held", PASSED, FAILED, FAILED),
        ("guards_held", PASSED, PASSED, PASSED),
    ],
)
def test_what_is_found_in_two_runs_counts_as_its_gate_says(
    name: str, before: Outcome, now: Outcome, outcome: Outcome
) -> None:
    assert (name in BY_THE_CLOCK) is (name == "clocks_agree")
    first, second = (Gate(gate=name, implementation="mojo", outcome=one) for one in (before, now))
    assert _both((first,), (second,))[0].outcome is outcome
