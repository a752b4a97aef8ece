"""Reads NVIDIA's management library, which comes with every driver; reads only, and needs no package."""

import ctypes
from contextlib import suppress
from typing import Any, Final, Self

from validation.performance.gpu_state import GpuState

_LIBRARY: Final = "libnvidia-ml.so.1"
_SUCCESS: Final = 0
#: nvml.h: nvmlClockType_t, nvmlTemperatureSensors_t.
_SM_CLOCK: Final = 1
_MEMORY_CLOCK: Final = 2
_ON_DIE: Final = 0
#: nvml.h: nvmlClocksEventReasons. Idle and the applications' own settings hold nothing down.
REASONS: Final = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}


class Nvml:
    """One GPU's counters. A counter that this GPU does not have is None, or 0 in its state."""

    def __init__(self, library: Any, handle: Any) -> None:  # noqa: ANN401 -- foreign functions have no types
        """Reads the GPU of `handle` through `library`."""
        self._library = library
        self._handle = handle

    @classmethod
    def open(cls, index: int = 0) -> Self | None:
        """Returns the counters of GPU `index`, None on a machine without the driver or without such a GPU."""
        with suppress(OSError):
            return cls.over(ctypes.CDLL(_LIBRARY), index)
        return None

    @classmethod
    def over(cls, library: Any, index: int = 0) -> Self | None:  # noqa: ANN401 -- as above
        """Returns the counters of GPU `index` by a library that is loaded, None where it has no such GPU."""
        handle = ctypes.c_void_p()
        if library.nvmlInit_v2() != _SUCCESS:
            return None
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) != _SUCCESS:
            return None
        return cls(library, handle)

    def state(self) -> GpuState:
        """Returns clocks, power, temperature and what throttles, now."""
        reasons = self._read("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong) or 0
        return GpuState(
            sm_mhz=self._read("nvmlDeviceGetClockInfo", ctypes.c_uint, _SM_CLOCK) or 0,
            memory_mhz=self._read("nvmlDeviceGetClockInfo", ctypes.c_uint, _MEMORY_CLOCK) or 0,
            power_w=(self._read("nvmlDeviceGetPowerUsage", ctypes.c_uint) or 0) / 1e3,
            temperature_c=self._read("nvmlDeviceGetTemperature", ctypes.c_uint, _ON_DIE) or 0,
            throttled=tuple(name for bit, name in REASONS.items() if reasons & bit),
        )

    def energy_j(self) -> float | None:
        """Returns the energy the GPU has used since its driver was loaded, None where it does not count it."""
        millijoules = self._read("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong)
        return None if millijoules is None else millijoules / 1e3

    def _read(self, function: str, kind: Any, *arguments: int) -> int | None:  # noqa: ANN401 -- a ctypes integer
        value = kind()
        if getattr(self._library, function)(self._handle, *arguments, ctypes.byref(value)) != _SUCCESS:
            return None
        return int(value.value)
