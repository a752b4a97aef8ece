"""A run looks at the gates a second time, between two timed processes that nobody can foresee."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from rich.console import Console

from tests import synthetic
from tests.implementations.kernels import forward_kernel, kernel
from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.inspect import GATES
from validation.implementations.spawn import room
from validation.stages import observe, run
from validation.stages.observe import Journal, observe_contest
from validation.stages.plan import RunPlan, RunRequest, plan_run

if TYPE_CHECKING:
    from collections.abc import Iterator

CHEATS: Final = Path(__file__).parents[2] / "planted" / "cheats"


#: Counts its processes on disk. In the first of them it is honest, later it answers tokens from memory.
TURNS = """
import os, sys, tempfile
from pathlib import Path
sys.path.append({cheats!r})
import honest_layer, memo_by_row

def prepare(layer):
    folder = Path(tempfile.gettempdir())
    (folder / f"process-{{os.getpid()}}").touch()
    begun = len(list(folder.glob("process-*")))
    turned = begun > {limit}
    return (memo_by_row.prepare if turned else honest_layer.forward_of)(layer)
"""


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    kernel = forward_kernel(tmp_path, "out.zero_()")
    request = RunRequest(
        profile="smoke",
        kernel=f"{kernel.source}:prepare",
        claims=(),
        device="cpu",
        workloads=("seed-claim",),
        out=tmp_path,
        resume=False,
    )
    return plan_run(request)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(evidence=synthetic.evidence(), path=tmp_path / "evidence.json")


@pytest.mark.parametrize("drawn", [0, 2, 9])
def test_something_else_is_done_between_two_processes_once(
    drawn: int, plan: RunPlan, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = journal.evidence.processes[:4]
    done: list[int] = []
    made: list[object] = []

    def measure(*_arguments: object, **_options: object) -> Iterator[object]:
        for process in timed:
            made.append(process)
            yield process

    monkeypatch.setattr(observe, "measure", measure)
    monkeypatch.setattr(observe, "replace", lambda measurement, **_fields: measurement)
    monkeypatch.setattr(observe, "_measurement", lambda *_arguments: None)
    monkeypatch.setattr("secrets.randbelow", lambda _most: drawn)
    empty = Journal(evidence=journal.evidence.model_copy(update={"processes": ()}), path=journal.path)
    observe_contest(plan.contests[0], plan, empty, Console(quiet=True), lambda: done.append(len(made)))
    assert done == [min(drawn + 1, len(timed))]


@pytest.mark.parametrize("turned", [True, False])
def test_what_fails_at_the_second_look_has_failed(
    turned: bool,  # noqa: FBT001 -- a parameter of the test
    plan: RunPlan,
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = Gate(gate="same_time_for_old_and_new", implementation="mine", outcome=Outcome.PASSED)
    other = Gate(gate="guards_held", implementation="mine", outcome=Outcome.MISTRUSTED)
    found = honest.model_copy(update={"outcome": Outcome.FAILED, "message": "much faster"}) if turned else honest
    unsure = other.model_copy(update={"outcome": Outcome.PASSED})
    monkeypatch.setattr(run, "observe_gates", lambda *_arguments: (found, unsure))
    journal.add(gates=(honest, other))
    run._look_again(plan, journal)
    # What one look could not tell, another does not make up for.
    assert journal.evidence.gates == (found, other)


def test_a_kernel_that_turns_once_it_was_looked_at_is_caught(
    plan: RunPlan, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it passed a first look with is the honest layer, which the tests of cheats show to pass every gate: here it
    # turns after as many processes as that look took, of which the room holds the marks.
    taken = 2
    for number in range(taken):
        (room().folder / f"process-first-{number}").touch()
    turning = kernel(tmp_path, TURNS.format(cheats=str(CHEATS), limit=taken), "turns")
    again = replace(plan, candidate=turning, kernel=f"{turning.source}:prepare")
    journal.add(
        gates=tuple(Gate(gate=judge.__name__, implementation="turns", outcome=Outcome.PASSED) for judge in GATES)
    )
    # It is dishonest every time from now on; that a gate looks three times before it says so is shown elsewhere.
    monkeypatch.setattr("validation.correctness.integrity.inspect.CONVICTIONS", 1)
    run._look_again(again, journal)
    assert "same_time_for_old_and_new" in [
        gate.gate for gate in journal.evidence.gates if gate.outcome is Outcome.FAILED
    ]


def test_one_of_the_workloads_is_drawn(plan: RunPlan, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    three = replace(plan, contests=plan.contests[:1] * 3)
    looked: list[bool] = []

    def contest(*arguments: Any, limit_s: float) -> None:
        assert limit_s < 90
        between = arguments[-1]
        looked.append(between is not None)

    for name in ("observe_ceilings", "observe_ceilings_again", "observe_figures", "complete"):
        monkeypatch.setattr(run, name, lambda *_arguments: None)
    monkeypatch.setattr(run, "observe_contest", contest)
    monkeypatch.setattr("secrets.randbelow", lambda most: most - 1)
    run._observe(three, journal, Console(quiet=True), time.monotonic())
    assert looked == [False, False, True]


def test_time_for_the_second_look_is_kept_until_it_is_taken(
    plan: RunPlan, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = replace(plan, contests=plan.contests[:1] * 3)
    clock_s, look_s = [1000.0], 10.0
    limits: list[float] = []

    def look(*_arguments: object) -> tuple[Gate, ...]:
        clock_s[0] += look_s
        return (Gate(gate="guards_held", implementation="mine", outcome=Outcome.PASSED),)

    for name in ("observe_ceilings", "observe_ceilings_again", "observe_figures", "complete"):
        monkeypatch.setattr(run, name, lambda *_arguments: None)
    monkeypatch.setattr(run, "observe_gates", look)
    monkeypatch.setattr(run, "observe_contest", lambda *_arguments, limit_s: limits.append(limit_s))
    monkeypatch.setattr(time, "monotonic", lambda: clock_s[0])
    monkeypatch.setattr("secrets.randbelow", lambda _most: 1)
    empty = Journal(evidence=journal.evidence.model_copy(update={"gates": ()}), path=journal.path)
    run._observe(three, empty, Console(quiet=True), 1000.0)
    left_s = plan.profile.limit_s - look_s - run._AFTERWARDS_S
    assert limits == pytest.approx([(left_s - look_s) / 3, (left_s - look_s) / 2, left_s])
