"""A ceiling: the most the machine was seen to do of one thing."""

from enum import StrEnum
from statistics import median
from typing import Literal, Self

from pydantic import model_validator

from validation.performance.usual import usual_speed
from validation.record import Record


class Resource(StrEnum):
    """What has a ceiling."""

    COMPUTE = "compute"
    READ_BANDWIDTH = "read_bandwidth"


class Ceiling(Record):
    """A measured peak: FLOP/s of a dtype, or byte/s read from `level`; `value` is the best of the repeats `samples`.

    `probes` is what the speed probe read beside each repeat, of a CPU's FLOP/s.
    """

    device: Literal["cpu", "cuda"]
    resource: Resource
    dtype: str | None = None
    level: str | None = None
    threads: int
    unit: Literal["flop/s", "byte/s"]
    value: float
    samples: tuple[float, ...]
    probes: tuple[float, ...] = ()
    method: str

    @model_validator(mode="after")
    def _probed_each_time(self) -> Self:
        if self.probes and len(self.probes) != len(self.samples):
            msg = f"probes must be as many as samples, {len(self.samples)}; got {len(self.probes)}"
            raise ValueError(msg)
        return self

    def usual(self, usual_probe: float | None) -> float:
        """The peak as it usually is, in `unit`: where the speed probe usually reads `usual_probe`.

        By what the peak is of the probe, if that was read beside it; else the speed that one repeat in five exceeds. In
        a burst of turbo, which cores that slept are given for some ms, two cores reached 389 GFLOP/s once in 24
        repeats, and 352 as a rule: nothing beats the first, and no call that takes its turn among thousands runs beside
        anything but the second.
        """
        if usual_probe is None or not self.probes:
            return usual_speed(self.samples)
        return usual_probe * median(one / probe for one, probe in zip(self.samples, self.probes, strict=True))
