"""Every planted fault is caught, by the check that ought to; the honest kernel they are made from never is."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from validation.correctness.case import Case, Outcome
from validation.correctness.planted import try_fault
from validation.correctness.planted_faults import FAULTS, FOLDER
from validation.correctness.runner import in_process
from validation.correctness.spec import PUBLISHED_VARIANTS
from validation.correctness.suite import Candidate, check_all, plan_cases


def kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`prepare` of a file of this folder, loaded afresh, as a worker loads it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(f"fault_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    prepare: Callable[..., Any] = module.prepare
    return prepare


def failures(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    fault = FAULTS[name]
    specs = [
        spec
        for spec in plan_cases("standard", fault.dtype, variants=(fault.variant,))
        if spec.check is fault.check and spec.workload.layer == fault.variant.of(spec.workload.layer)
    ]
    candidate = Candidate(name=name, lowest_id_wins=fault.lowest_id_wins, required=fault.variant, strict=True)
    run = in_process(kernel(name, monkeypatch), fills=False)
    return (case for case in check_all(specs, run, candidate) if case.outcome is Outcome.FAILED)


#: In a worker weights may lie where a forgotten layer's lay; here all of a question's layers are alive.
IN_A_WORKER = frozenset({"packed_by_address"})


@pytest.mark.parametrize("name", sorted(IN_A_WORKER))
def test_a_fault_that_shows_in_a_worker_alone_is_caught_there(name: str) -> None:
    trial = try_fault(name)
    assert trial.caught, trial.message


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - IN_A_WORKER))
def test_a_planted_fault_is_caught_by_the_check_that_ought_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = []
    for case in failures(name, monkeypatch):
        messages.append(case.message)
        if FAULTS[name].by in case.message:
            return

    pytest.fail(f"{FAULTS[name].check} must catch it by {FAULTS[name].by!r}; it said {messages}")


def test_every_fault_of_the_folder_is_in_the_catalogue() -> None:
    written = {path.stem for path in FOLDER.glob("*.py")} - {"by_steps"}

    assert written == set(FAULTS)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_honest_kernel_the_faults_are_made_from_passes(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = in_process(kernel("by_steps", monkeypatch), fills=False)
    candidate = Candidate(name="by_steps", lowest_id_wins=True)

    cases = list(check_all(plan_cases("smoke", dtype, variants=PUBLISHED_VARIANTS), run, candidate))

    assert [case for case in cases if case.outcome not in {Outcome.PASSED, Outcome.MISTRUSTED}] == []
