"""Calls between which the worker reads no clock: the parent's time for all of them."""

from typing import Annotated

from pydantic import Field

from validation.record import Record


class Unclocked(Record):
    """So many calls one after the other, the parent's time for all, and what asking for them costs: known before.

    They were made right behind as many that were timed, which took `clocked_ns` in all by the worker's clock.
    """

    calls: Annotated[int, Field(gt=0)]
    clocked_ns: Annotated[int, Field(ge=0)]
    parent_ns: Annotated[int, Field(gt=0)]
    asking_ns: Annotated[int, Field(ge=0)]

    @property
    def longer_ns(self) -> float:
        """What a call took beyond one that was timed, ns; below 0 where asking was cheaper than when it was priced."""
        return (self.parent_ns - self.asking_ns - self.clocked_ns) / self.calls
