"""Calls made without a pause: what they take of time and of energy."""

from typing import Annotated

from pydantic import Field

from validation.record import Record


class Sustained(Record):
    """So many calls back to back, the parent's time for all of them, and the energy the device used meanwhile."""

    calls: Annotated[int, Field(gt=0)]
    parent_ns: Annotated[int, Field(gt=0)]
    energy_j: float | None = None
