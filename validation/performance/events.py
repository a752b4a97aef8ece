"""What measuring tells its display as it goes."""

from dataclasses import dataclass
from statistics import median
from typing import Self

from validation.performance.sample import Role, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted:
    """A process takes its turn: `round` of `rounds`, 0 being the discarded one."""

    workload: str
    round: int
    rounds: int
    position: int
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesMeasured:
    """An implementation was measured: median of its accepted calls (None without any), and blocks rejected."""

    implementation: str
    role: Role
    median_ns: float | None
    rejected: int
    outputs_wrong: int

    @classmethod
    def of(cls, series: Series, role: Role) -> Self:
        """Returns what is to be said of a series."""
        accepted = series.accepted_ns
        return cls(
            implementation=series.implementation,
            role=role,
            median_ns=median(accepted) if accepted else None,
            rejected=sum(not block.accepted for block in series.blocks),
            outputs_wrong=sum(block.outputs_wrong for block in series.blocks),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFailed:
    """A process ended before its time, or an implementation in it failed: the named cause."""

    role: Role
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something was not measured because the time was over."""

    what: str


Event = ProcessStarted | SeriesMeasured | ProcessFailed | LeftOut
