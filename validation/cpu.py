"""The processor as Linux describes it: what the ceilings and the environment are read from."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

PROC_CPUINFO: Final = Path("/proc/cpuinfo")
SYS_CPU: Final = Path("/sys/devices/system/cpu")
_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """One core's description and the cores this process may use.

    `caches` holds bytes under "L1", "L2", "L3", as one core sees them (data and unified caches only); a level that a
    virtual machine hides is absent.
    """

    vendor: str
    model: str
    family: str
    features: tuple[str, ...]
    caches: dict[str, int]
    cores: tuple[int, ...]


def read_cpu(cpuinfo: Path = PROC_CPUINFO, system: Path = SYS_CPU) -> Cpu:
    """Returns the processor that `cpuinfo` and `system` describe; what they do not say is "unknown" or absent."""
    fields = _first_processor(cpuinfo)
    cores = available_cores()
    return Cpu(
        vendor=fields.get("vendor_id") or fields.get("CPU implementer", "unknown"),
        model=fields.get("model name") or fields.get("CPU part", "unknown"),
        family=_family(fields),
        features=tuple(sorted((fields.get("flags") or fields.get("Features", "")).split())),
        caches=_caches(system / f"cpu{cores[0]}" / "cache"),
        cores=cores,
    )


@cache
def available_cores() -> tuple[int, ...]:
    """Returns the logical cores in this process's affinity mask as it was when this was first asked, in order.

    Remembered, because a kernel of the same user can narrow the mask of this process too.
    """
    return tuple(sorted(os.sched_getaffinity(0)))


def total_memory() -> int:
    """Returns how many bytes of memory the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _first_processor(cpuinfo: Path) -> dict[str, str]:
    try:
        text = cpuinfo.read_text()
    except OSError:
        return {}
    lines = text.split("\n\n", 1)[0].splitlines()
    return {key.strip(): value.strip() for key, found, value in (line.partition(":") for line in lines) if found}


def _family(fields: dict[str, str]) -> str:
    if "cpu family" in fields:
        return f"family {fields['cpu family']} model {fields.get('model', '?')} stepping {fields.get('stepping', '?')}"
    if "CPU architecture" in fields:
        return f"architecture {fields['CPU architecture']} revision {fields.get('CPU revision', '?')}"
    return "unknown"


def _caches(folder: Path) -> dict[str, int]:
    caches = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            caches[f"L{level}"] = _bytes(size)
    return caches


def _bytes(size: str) -> int:
    return int(size[:-1]) * _UNITS[size[-1]] if size[-1:] in _UNITS else int(size)
