"""Kernels as strangers write them pass the whole of `check`: cases of what they deal with, and every gate."""

from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from validation.correctness.case import Outcome
from validation.correctness.planted import WORKLOAD
from validation.implementations.kernel_spec import parse_kernel
from validation.stages.examine import examine, observe_gates
from validation.stages.subject import Subject

pytestmark = pytest.mark.usefixtures("answered_once")

FOLDER: Final = Path(__file__).parent / "kernels" / "others"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_strangers_honest_kernel_is_not_rejected(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two threads each would spin while the other test process and its worker wait for a core: minutes in all.
    subject = Subject(implementation=parse_kernel(str(path)), threads=1)
    quiet = Console(quiet=True)
    examined = examine(subject, "smoke", quiet)
    assert [f"{case.id}: {case.message}" for case in examined.cases if case.outcome is Outcome.FAILED] == []
    # A quarter of the published tokens: short calls are the harder ones for gates that judge by the clock.
    monkeypatch.setattr("validation.stages.examine._GATE_WORKLOAD", WORKLOAD.name)
    gates = observe_gates(subject, quiet, examined.doings)
    assert [f"{gate.gate}: {gate.message}" for gate in gates if gate.outcome is Outcome.FAILED] == []
