"""Whether the host was too busy for the middle of what was timed to tell anything."""

from collections.abc import Sequence
from typing import Final

#: The middle half of pairs of blocks of a quiet look spans a factor of 1.1 to 1.3, once in a while of 1.5. Among four
#: programs on two cores it spans 2 to 5, and there a memory for a third of each batch, or a third of the work done
#: ahead, goes unseen.
MOST_SPREAD: Final = 1.6


def torn(values: Sequence[float]) -> tuple[float, float] | None:
    """Returns the quartiles of `values` where they lie a factor of MOST_SPREAD apart, else None."""
    ordered = sorted(values)
    if not ordered:
        return None
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return (low, high) if high > MOST_SPREAD * low else None
