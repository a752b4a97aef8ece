"""Energy of calls on a CPU, by the processor's own counter (RAPL) as Linux tells it under /sys/class/powercap.

The counter is the package's: what else the machine does is in it, and so is its idle power. Contenders are measured in
turn for the same time, so both bear the same share.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from validation.implementations.answer import Prepared, Sustained
    from validation.implementations.implementation import Implementation
    from validation.implementations.shared_layer import SharedLayer

ENERGY: Final = "energy-per-call-j"
POWERCAP: Final = Path("/sys/class/powercap")

#: The counter moves every ms; a second of calls makes that a thousandth.
SECONDS: Final = 1.0
_MICRO: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyCounter:
    """The packages' counters, microjoules that wrap around at `ranges_uj`."""

    files: tuple[Path, ...]
    ranges_uj: tuple[int, ...]

    def read_uj(self) -> tuple[int, ...]:
        """Returns every package's counter now."""
        return tuple(int(file.read_text()) for file in self.files)

    def joules(self, before: Sequence[int], after: Sequence[int]) -> float:
        """Returns what was used between two readings less than one turn of a counter (minutes) apart."""
        used = zip(before, after, self.ranges_uj, strict=True)
        return _MICRO * sum((end - start) % (most + 1) for start, end, most in used)


def find_counter(root: Path = POWERCAP) -> EnergyCounter | str:
    """Returns the machine's energy counter, or why there is none to be read."""
    packages = [zone for zone in sorted(root.glob("intel-rapl:*")) if _name(zone).startswith("package")]
    if not packages:
        return f"this machine shows no energy counter of its processor (no package under {root})"
    try:
        counter = EnergyCounter(
            files=tuple(zone / "energy_uj" for zone in packages),
            ranges_uj=tuple(int((zone / "max_energy_range_uj").read_text()) for zone in packages),
        )
        counter.read_uj()
    except PermissionError as error:
        return f"the energy counter {error.filename} is readable by root alone"
    except OSError as error:
        return f"the energy counter cannot be read: {error.strerror}"
    return counter


def measure_energy(
    worker: Sustaining,
    implementation: Implementation,
    layer: SharedLayer,
    inputs: Sequence[torch.Tensor],
    counter: EnergyCounter,
) -> float:
    """Returns joules per call of an implementation that calls without a pause for about a second.

    Raises:
        ImplementationFailed: the kernel failed.
    """
    worker.load(implementation)
    worker.prepare(layer)
    worker.call_block(inputs)
    before = counter.read_uj()
    calls = worker.sustain(SECONDS).calls
    return counter.joules(before, counter.read_uj()) / calls


class Sustaining(Protocol):
    """A worker, as far as energy needs one."""

    def load(self, implementation: Implementation) -> str:
        """Runs the implementation's file."""

    def prepare(self, layer: SharedLayer) -> Prepared:
        """Hands it the layer."""

    def call_block(self, inputs: Sequence[torch.Tensor]) -> object:
        """Makes one call on each input."""

    def sustain(self, seconds: float) -> Sustained:
        """Calls again and again for so long."""


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""
