"""A figure: a quantity measured beside the timed calls, which claims may name."""

from typing import Annotated

from pydantic import Field

from validation.record import Record


class Figure(Record):
    """Samples of one quantity, one per process or per run of a command, in the order they were taken.

    The unit is the last word of the name: energy-per-call-j, call-overhead-share, demo-s. `implementation` and
    `workload` are empty when it is not about one. An `exact` one was observed once and is the whole of what is claimed:
    the time of this very run is no sample of anything.
    """

    name: str
    device: str = "cpu"
    dtype: str = "float32"
    implementation: str = ""
    workload: str = ""
    samples: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    exact: bool = False
    method: str
