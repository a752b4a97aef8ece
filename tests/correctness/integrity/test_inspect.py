"""A gate that judges by the clock convicts only what it catches every time; the others convict at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity import inspect
from validation.correctness.integrity.inspect import BY_THE_CLOCK, _both
from validation.correctness.integrity.observation import Observation, Scene, Seen
from validation.correctness.planted import WORKLOAD
from validation.correctness.planted_cheats import FOLDER
from validation.implementations.kernel_spec import parse_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.mark.parametrize(
    ("looks", "outcomes"),
    [
        # By the clock it must be seen in each of three looks.
        ([(FAILED, PASSED)] * 3, (FAILED, PASSED)),
        ([(FAILED, PASSED), (FAILED, PASSED), (PASSED, PASSED)], (PASSED, PASSED)),
        ([(FAILED, PASSED), (PASSED, PASSED)], (PASSED, PASSED)),
        # A kernel that another gate rejects is not looked at again.
        ([(FAILED, FAILED)], (Outcome.MISTRUSTED, FAILED)),
        ([(FAILED, PASSED), (FAILED, FAILED)], (Outcome.MISTRUSTED, FAILED)),
        ([(PASSED, FAILED)], (PASSED, FAILED)),
        ([(PASSED, PASSED)], (PASSED, PASSED)),
    ],
)
def test_a_kernel_is_looked_at_again_while_only_the_clock_speaks_against_it(
    looks: list[tuple[Outcome, Outcome]], outcomes: tuple[Outcome, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: Iterator[tuple[Outcome, Outcome]] = iter(looks)

    def look(*_arguments: object) -> tuple[Gate, ...]:
        found = zip(("clocks_agree", "guards_held"), next(left), strict=True)
        return tuple(Gate(gate=name, implementation="mine", outcome=one) for name, one in found)

    monkeypatch.setattr(inspect, "_look", look)
    found = inspect.inspect(parse_kernel(str(FOLDER / "honest_layer.py")), WORKLOAD, threads=1)
    assert tuple(one.outcome for one in found) == outcomes
    assert next(left, None) is None


def test_a_gate_that_is_sought_is_looked_at_until_it_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_arguments: object) -> tuple[Gate, ...]:
        return tuple(Gate(gate=name, implementation="mine", outcome=FAILED) for name in ("clocks_agree", "guards_held"))

    monkeypatch.setattr(inspect, "_look", look)
    kernel = parse_kernel(str(FOLDER / "honest_layer.py"))
    found = inspect.inspect(kernel, WORKLOAD, threads=1, sought="clocks_agree")
    assert [one.outcome for one in found] == [FAILED, FAILED]


def test_a_time_below_the_floor_does_not_end_the_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memo is faster than any machine; that it is a memo is for another gate to say."""

    def look(*_arguments: object) -> tuple[Gate, ...]:
        names = ("same_time_for_old_and_new", "above_the_floor")
        return tuple(Gate(gate=name, implementation="mine", outcome=FAILED) for name in names)

    monkeypatch.setattr(inspect, "_look", look)
    found = inspect.inspect(parse_kernel(str(FOLDER / "honest_layer.py")), WORKLOAD, threads=1)
    assert [one.outcome for one in found] == [FAILED, FAILED]


@pytest.mark.parametrize(
    ("others_share", "sought", "outcome", "looks"),
    [
        (0.2, "", FAILED, 3),
        (0.8, "", Outcome.MISTRUSTED, 3),
        # Who is planted is tried beside other tests.
        (0.8, "clocks_agree", FAILED, 3),
    ],
)
def test_no_clock_convicts_while_other_programs_have_the_cores(
    others_share: float, sought: str, outcome: Outcome, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = Seen(
        scene=Scene.FRESH,
        calls_ns=(1,),
        parent_ns=1,
        right=(True,),
        x_unchanged=(True,),
        guards_held=True,
        others_share=others_share,
    )
    seen = Observation(implementation="mine", threads=1, blocks=(block,))
    had = []

    def observe(*_arguments: object, **_options: object) -> Observation:
        had.append(seen)
        return seen

    def suspicious(_seen: Observation) -> Gate:
        return Gate(gate="clocks_agree", implementation="mine", outcome=FAILED, message="slow")

    monkeypatch.setattr(inspect, "observe", observe)
    monkeypatch.setattr(inspect, "GATES", (suspicious,))
    kernel = parse_kernel(str(FOLDER / "honest_layer.py"))
    (found,) = inspect.inspect(kernel, WORKLOAD, threads=1, sought=sought)
    assert (found.outcome, len(had)) == (outcome, looks)
    assert "slow" in found.message
