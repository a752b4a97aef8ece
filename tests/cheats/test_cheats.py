"""Every cheat is caught, by the gate that ought to; no honest kernel is."""

from pathlib import Path

import pytest

from tests.honest.menu import HONEST
from validation.correctness.planted import failed_gates, try_cheat
from validation.correctness.planted_cheats import CHEATS, FOLDER
from validation.cpu import available_cores
from validation.implementations.implementation import Implementation
from validation.implementations.kernel_spec import parse_kernel


@pytest.mark.parametrize("name", sorted(CHEATS))
def test_a_cheat_is_caught_by_the_gate_that_ought_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It is dishonest every time. That a gate by the clock looks three times before it says so is shown elsewhere, and
    # `make planted`, whose record must be of these sources, looks so often: 4 minutes of a core more.
    monkeypatch.setattr("validation.correctness.integrity.inspect.CONVICTIONS", 1)
    trial = try_cheat(name)
    assert trial.caught, trial.message


@pytest.mark.parametrize("implementation", HONEST.values(), ids=HONEST)
def test_an_honest_kernel_passes_every_gate(implementation: Implementation) -> None:
    assert failed_gates(implementation) == {}


def test_the_kernel_the_cheats_are_made_from_passes_every_gate() -> None:
    assert failed_gates(parse_kernel(str(FOLDER / "honest_layer.py"))) == {}


#: Takes one thread more than it was given, for the time of a call: where `check` gives it all cores it gains nothing.
_THREADS_WHILE_CALLED = """
import torch

def prepare(layer):
    def forward(x, out):
        given = torch.get_num_threads()
        torch.set_num_threads(given + 1)
        weights, ids = torch.softmax(x @ layer.router_weight, -1).topk(layer.config.top_k)
        weights = weights / weights.sum(-1, keepdim=True)
        out.zero_()
        for e in range(layer.config.n_experts):
            token, slot = (ids == e).nonzero(as_tuple=True)
            y = torch.relu(x[token] @ layer.w1[e]) @ layer.w2[e]
            out.index_add_(0, token, weights[token, slot, None] * y)
        torch.set_num_threads(given)

    return forward
"""


@pytest.mark.skipif(len(available_cores()) == 1, reason="no core is left for another thread")
def test_more_threads_for_the_time_of_a_call_are_seen_where_cores_are_left(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.py"
    kernel.write_text(_THREADS_WHILE_CALLED)
    assert "cores, and it was given 1" in failed_gates(parse_kernel(str(kernel)))["settings_unchanged"]


def test_every_cheat_in_the_folder_has_its_gate() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"honest_layer"} == set(CHEATS)
