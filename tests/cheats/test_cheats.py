"""Every cheat is caught, by the gate that ought to; no honest kernel is."""

import pytest

from tests.honest.menu import HONEST
from validation.correctness.planted import failed_gates, try_cheat
from validation.correctness.planted_cheats import CHEATS, FOLDER
from validation.implementations.implementation import Implementation
from validation.implementations.kernel_spec import parse_kernel


@pytest.mark.parametrize("name", sorted(CHEATS))
def test_a_cheat_is_caught_by_the_gate_that_ought_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It is dishonest every time. That a gate by the clock looks three times before it says so is shown elsewhere, and
    # `make planted`, whose record must be of these sources, looks so often: 4 minutes of a core more.
    monkeypatch.setattr("validation.correctness.integrity.inspect.CONVICTIONS", 1)
    # Another test runs beside: a memory for a third of a batch, 0.67 to 0.75 of the time without, was once not told.
    tried = (try_cheat(name) for _ in range(3))
    trial = next((one for one in tried if one.caught), None)
    assert trial is not None, f"{name} got past {CHEATS[name]}"


@pytest.mark.parametrize("implementation", HONEST.values(), ids=HONEST)
def test_an_honest_kernel_passes_every_gate(implementation: Implementation) -> None:
    assert failed_gates(implementation) == {}


def test_the_kernel_the_cheats_are_made_from_passes_every_gate() -> None:
    assert failed_gates(parse_kernel(str(FOLDER / "honest_layer.py"))) == {}


def test_every_cheat_in_the_folder_has_its_gate() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"honest_layer"} == set(CHEATS)
