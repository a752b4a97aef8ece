"""A ceiling: the most the machine was seen to do of one thing."""

from enum import StrEnum
from typing import Literal

from validation.record import Record


class Resource(StrEnum):
    """What has a ceiling."""

    COMPUTE = "compute"
    READ_BANDWIDTH = "read_bandwidth"


class Ceiling(Record):
    """A measured peak: FLOP/s of a dtype, or byte/s read from `level`; `value` is the best of the repeats `samples`."""

    device: Literal["cpu", "cuda"]
    resource: Resource
    dtype: str | None = None
    level: str | None = None
    threads: int
    unit: Literal["flop/s", "byte/s"]
    value: float
    samples: tuple[float, ...]
    method: str
