"""Every cheat is caught, by the gate that ought to; no honest kernel is."""

import shutil
from pathlib import Path
from typing import Final

import pytest
import torch

from tests.cheats.catalogue import CHEATS, FOLDER
from tests.honest.menu import HONEST
from validation.correctness.case import Outcome
from validation.correctness.integrity.inspect import inspect
from validation.implementations.implementation import Implementation
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.process import Limits
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.registry import find

#: A call is long beside a lookup and short beside a worker's start: 134 MFLOP.
WORKLOAD: Final = find("256x128x512-E4-k2-float32")


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The answers to the published seed's tokens, as a cheat would bring them along."""
    tokens, layer = TokenBank.draw(WORKLOAD).tokens, make_layer(WORKLOAD.layer, WORKLOAD.seed)
    weights, ids = torch.softmax(tokens @ layer.router_weight, -1).topk(WORKLOAD.layer.top_k)
    weights = weights / weights.sum(-1, keepdim=True)
    experts = [torch.relu(tokens @ w1) @ w2 for w1, w2 in zip(layer.w1, layer.w2, strict=True)]
    out = sum((weights * (ids == e)).sum(-1, keepdim=True) * expert for e, expert in enumerate(experts))
    path = tmp_path_factory.mktemp("answers") / "answers.pt"
    torch.save((tokens, out), path)
    return path


def failed_gates(implementation: Implementation) -> dict[str, str]:
    gates = inspect(implementation, WORKLOAD, threads=1, limits=Limits(seconds=60))
    return {gate.gate: gate.message for gate in gates if gate.outcome is Outcome.FAILED}


@pytest.mark.parametrize("name", sorted(CHEATS))
def test_a_cheat_is_caught_by_the_gate_that_ought_to(name: str, tmp_path: Path, answers: Path) -> None:
    for file in (FOLDER / "honest_layer.py", FOLDER / f"{name}.py", answers):
        shutil.copy(file, tmp_path)
    failed = failed_gates(parse_kernel(str(tmp_path / f"{name}.py")))
    assert CHEATS[name] in failed, failed


@pytest.mark.parametrize("implementation", HONEST.values(), ids=HONEST)
def test_an_honest_kernel_passes_every_gate(implementation: Implementation) -> None:
    assert failed_gates(implementation) == {}


def test_the_kernel_the_cheats_are_made_from_passes_every_gate() -> None:
    assert failed_gates(parse_kernel(str(FOLDER / "honest_layer.py"))) == {}


def test_every_cheat_in_the_folder_has_its_gate() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"honest_layer"} == set(CHEATS)
