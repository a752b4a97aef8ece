"""A machine's installation, in words."""

from dataclasses import dataclass
from typing import Final

from validation.evidence.record import Evidence
from validation.performance.ceiling import Ceiling
from validation.verdicts.units import significant, size

_VECTOR: Final = ("avx", "amx", "fma", "f16c", "sse4", "sve", "asimd", "neon")


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingRow:
    """One measured ceiling."""

    what: str
    value: str
    threads: int
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One program that was run, what it is and how it was built, and the digest of its source."""

    name: str
    candidate: bool
    what: str
    sha256: str


def facts(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Returns what a reader needs to know of the machine, as (name, value)."""
    e = evidence.environment
    found = [
        ("Processor", f"{e.cpu_model} (family/model {e.cpu_family})"),
        ("Cores, threads used", f"{e.cores}, {e.threads_used}"),
        ("Memory", size(e.memory_bytes)),
        ("Caches of a core", ", ".join(f"{name} {size(value)}" for name, value in e.caches.items()) or "not readable"),
        ("Vector features", _vector(e.cpu_features)),
        ("Clock governor", e.governor),
        ("Virtualised", e.virtualized or "no"),
        ("System", f"{e.os}, kernel {e.kernel}, {e.libc}"),
        ("Python", e.python),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in e.packages.items()) or "none"),
        ("Compilers", ", ".join(f"{name} {version}" for name, version in e.compilers.items()) or "none"),
        ("Compiler flags", "; ".join(f"{name}: {flags}" for name, flags in e.compiler_flags.items()) or "none"),
        ("Variables set aside", ", ".join(e.dropped_variables) or "none"),
        ("Hardware fingerprint", e.fingerprint[:16]),
    ]
    if e.gpu:
        gpu = f"{e.gpu.name}, {size(e.gpu.memory_bytes)}, driver {e.gpu.driver}, capability {e.gpu.compute_capability}"
        found.insert(0, ("GPU", gpu))
    return tuple(found)


def _vector(features: tuple[str, ...]) -> str:
    """The extensions that matrix code is written for; a processor names a hundred others."""
    told = [name for name in features if name.startswith(_VECTOR)]
    return ", ".join(told) or "none named"


def ceiling_rows(evidence: Evidence) -> tuple[CeilingRow, ...]:
    """Returns the best measured ceiling of every kind, in the order of the evidence: the one that floors rest on."""
    best: dict[tuple[str, str, str | None], Ceiling] = {}
    for one in evidence.ceilings:
        key = (one.device, one.resource, one.dtype or one.level)
        if key not in best or one.value > best[key].value:
            best[key] = one
    return tuple(_row(ceiling) for ceiling in best.values())


def _row(ceiling: Ceiling) -> CeilingRow:
    what = f"{ceiling.dtype} arithmetic" if ceiling.dtype else f"reading from {ceiling.level}"
    unit = "GFLOP/s" if ceiling.unit == "flop/s" else "GB/s"
    return CeilingRow(
        what=f"{what}, {ceiling.device.upper() if ceiling.device == 'cpu' else 'GPU'}",
        value=f"{significant(ceiling.value / 1e9, 4)} {unit}",
        threads=ceiling.threads,
        method=ceiling.method,
    )


def run_rows(evidence: Evidence) -> tuple[RunRow, ...]:
    """Returns every program, the candidate first as recorded; of a variant's build only what is not the candidate's."""
    whole = next((dict(one.build) for one in evidence.implementations if one.role == "candidate"), {})
    rows = []
    for one in evidence.implementations:
        candidate = one.role == "candidate"
        build = [
            f"{name}: {value}"
            for name, value in one.build.items()
            if value and not name.endswith("sha256") and (candidate or whole.get(name) != value)
        ]
        what = "; ".join((one.description, *build))
        rows.append(RunRow(name=one.name, candidate=candidate, what=what, sha256=one.sha256))
    return tuple(rows)


def left_out(evidence: Evidence) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Returns what was not measured, by the reason: `cpp_scalar on seed-claim: slow` is under `slow`."""
    found: dict[str, list[str]] = {}
    for text in evidence.left_out:
        what, _, why = text.partition(": ")
        found.setdefault(why or "without a reason", []).append(what)
    return tuple((why, tuple(items)) for why, items in found.items())
