"""What can be told from times on a host that others use too, and whether anything can."""

from collections.abc import Sequence
from typing import Final

#: The middle half of pairs of blocks of a quiet look spans a factor of 1.1 to 1.3, once in a while of 1.5. Among four
#: programs on two cores it spans 2 to 5, and there a memory for a third of each batch, or a third of the work done
#: ahead, goes unseen.
MOST_SPREAD: Final = 1.6


def lower_quartile(values: Sequence[float]) -> float:
    """Returns that of `values` (one at least) below which a quarter of them lie; of fewer than four the least.

    A disturbance only makes a time longer, so it is one of a calm moment; and not the least, which may be an accident.
    """
    return sorted(values)[len(values) // 4]


def torn(values: Sequence[float]) -> tuple[float, float] | None:
    """Returns the quartiles of `values` where they lie a factor of MOST_SPREAD apart, else None."""
    if not values:
        return None
    low, high = lower_quartile(values), -lower_quartile([-value for value in values])
    return (low, high) if high > MOST_SPREAD * low else None
