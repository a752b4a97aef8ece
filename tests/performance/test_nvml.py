"""What is read of a GPU's counters, from a library that tells what the tests want."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

from validation.performance.nvml import Nvml

_CLOCKS = {1: 1980, 2: 3201}


@dataclass
class _Library:
    """Answers as NVML does: a status, and the value through a pointer."""

    values: dict[str, int] = field(default_factory=dict)
    initialised: int = 0
    gpus: int = 1

    def nvmlInit_v2(self) -> int:  # noqa: N802 -- the library's name
        return self.initialised

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, _handle: Any) -> int:  # noqa: N802 -- as above
        return 0 if index < self.gpus else 2

    def nvmlDeviceGetClockInfo(self, _handle: Any, kind: int, pointer: Any) -> int:  # noqa: N802 -- as above
        ctypes.cast(pointer, ctypes.POINTER(ctypes.c_uint))[0] = _CLOCKS[kind]
        return 0

    def __getattr__(self, name: str) -> Any:
        def read(*arguments: Any) -> int:
            if name not in self.values:
                return 3
            wide = "Energy" in name or "Reasons" in name
            kind = ctypes.c_ulonglong if wide else ctypes.c_uint
            ctypes.cast(arguments[-1], ctypes.POINTER(kind))[0] = self.values[name]
            return 0

        return read


def test_state_has_the_clocks_power_and_temperature_in_their_units() -> None:
    library = _Library(values={"nvmlDeviceGetPowerUsage": 312_500, "nvmlDeviceGetTemperature": 41})
    nvml = Nvml.over(library)
    assert nvml is not None
    state = nvml.state()
    assert (state.sm_mhz, state.memory_mhz, state.power_w, state.temperature_c) == (1980, 3201, 312.5, 41)


def test_reasons_that_hold_clocks_down_are_named_and_idle_is_none() -> None:
    library = _Library(values={"nvmlDeviceGetCurrentClocksThrottleReasons": 0x01 | 0x04 | 0x40})
    nvml = Nvml.over(library)
    assert nvml is not None
    assert nvml.state().throttled == ("power cap", "hardware thermal slowdown")


def test_energy_is_in_joules() -> None:
    nvml = Nvml.over(_Library(values={"nvmlDeviceGetTotalEnergyConsumption": 5_000_000_000_001}))
    assert nvml is not None
    assert nvml.energy_j() == 5_000_000_000.001


def test_a_gpu_that_counts_no_energy_says_so() -> None:
    nvml = Nvml.over(_Library())
    assert nvml is not None
    assert nvml.energy_j() is None


def test_a_driver_that_does_not_start_is_no_gpu() -> None:
    assert Nvml.over(_Library(initialised=9)) is None


def test_a_gpu_that_is_not_there_is_none() -> None:
    assert Nvml.over(_Library(gpus=0)) is None
