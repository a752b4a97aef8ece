"""Energy is read from the processor's counter, over its turns, or it is said why it is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import torch

from validation.implementations.answer import Prepared, Sustained
from validation.implementations.implementation import Implementation
from validation.performance.energy import EnergyCounter, find_counter, measure_energy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.implementations.shared_layer import SharedLayer


def package(root: Path, number: int, energy_uj: int = 5, most_uj: int = 999, name: str = "package-0") -> Path:
    zone = root / f"intel-rapl:{number}"
    zone.mkdir()
    (zone / "name").write_text(f"{name}\n")
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{most_uj}\n")
    return zone


class Burner:
    """A worker whose 100 calls use a million microjoules."""

    def __init__(self, energy: Path) -> None:
        self.energy, self.done = energy, list[str]()

    def load(self, implementation: Implementation) -> str:
        self.done.append(implementation.name)
        return ""

    def prepare(self, layer: SharedLayer) -> Prepared:
        del layer
        return Prepared(prepare_ns=1, prepare_bytes=1)

    def call_block(self, inputs: Sequence[torch.Tensor]) -> None:
        self.done.append(f"{len(inputs)} calls")
        self._burn(777)

    def sustain(self, seconds: float) -> Sustained:
        self.done.append(f"{seconds:g} s")
        self._burn(1_000_000)
        return Sustained(calls=100, parent_ns=1)

    def _burn(self, uj: int) -> None:
        self.energy.write_text(str(int(self.energy.read_text()) + uj))


def test_joules_are_summed_over_packages_and_over_a_turn_of_the_counter(tmp_path: Path) -> None:
    first, _second = package(tmp_path, 0, 990), package(tmp_path, 1, 100, name="package-1")
    counter = find_counter(tmp_path)
    assert isinstance(counter, EnergyCounter)
    before = counter.read_uj()
    (first / "energy_uj").write_text("10")
    assert counter.joules(before, counter.read_uj()) == pytest.approx(20e-6)


def test_other_domains_than_packages_are_not_counted_twice(tmp_path: Path) -> None:
    package(tmp_path, 0)
    package(tmp_path, 1, name="dram")
    counter = find_counter(tmp_path)
    assert isinstance(counter, EnergyCounter)
    assert len(counter.files) == 1


def test_a_machine_without_a_counter_says_so(tmp_path: Path) -> None:
    assert "no energy counter" in str(find_counter(tmp_path))
    assert "no energy counter" in str(find_counter(tmp_path / "missing"))


def test_a_counter_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (package(tmp_path, 0) / "max_energy_range_uj").unlink()
    assert "cannot be read" in str(find_counter(tmp_path))


def test_energy_is_that_of_the_sustained_calls_alone(tmp_path: Path) -> None:
    zone = package(tmp_path, 0, 0, 10**12)
    counter = find_counter(tmp_path)
    assert isinstance(counter, EnergyCounter)
    worker = Burner(zone / "energy_uj")
    kernel = Implementation(name="mine", source=Path("x.py"), family="test", description="")
    joules = measure_energy(worker, kernel, cast("SharedLayer", None), [torch.zeros(1)] * 4, counter)
    assert joules == pytest.approx(0.01)
    assert worker.done == ["mine", "4 calls", "1 s"]
