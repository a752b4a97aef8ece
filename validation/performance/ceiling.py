"""A ceiling: the most the machine was seen to do of one thing."""

from enum import StrEnum
from typing import Literal

from validation.performance.usual import usual_speed
from validation.record import Record


class Resource(StrEnum):
    """What has a ceiling."""

    COMPUTE = "compute"
    READ_BANDWIDTH = "read_bandwidth"


class Ceiling(Record):
    """A measured peak: FLOP/s of a dtype, or byte/s read from `level`; `value` is the best of the repeats `samples`.

    `usual` is the speed that one repeat in five exceeds. In a burst of turbo, which cores that slept are given for some
    ms, two cores reached 389 GFLOP/s once in 24 repeats, and 352 as a rule: nothing beats the first, and no call that
    takes its turn among thousands runs beside anything but the second.
    """

    device: Literal["cpu", "cuda"]
    resource: Resource
    dtype: str | None = None
    level: str | None = None
    threads: int
    unit: Literal["flop/s", "byte/s"]
    value: float
    samples: tuple[float, ...]
    method: str

    @property
    def usual(self) -> float:
        """The peak as it usually is, in `unit`."""
        return usual_speed(self.samples)
