"""Calls between which the worker reads no clock: the parent's time for all of them."""

from typing import Annotated

from pydantic import Field

from validation.record import Record


class Unclocked(Record):
    """So many calls one after the other, the parent's time for all, and what asking for them costs: known before.

    They were made right behind the timed calls of the block at the place `behind`, in the same lull or bustle.
    """

    behind: Annotated[int, Field(ge=0)]
    calls: Annotated[int, Field(gt=0)]
    parent_ns: Annotated[int, Field(gt=0)]
    asking_ns: Annotated[int, Field(ge=0)]

    @property
    def call_ns(self) -> float:
        """What a call took, ns; below 0 where asking was cheaper than when its price was taken."""
        return (self.parent_ns - self.asking_ns) / self.calls
