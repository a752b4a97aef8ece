"""Ticks of a logarithmic axis: round values, none so near to the next that their labels touch."""

import math
from itertools import pairwise
from typing import Final

#: From fine to coarse; 1 stands in every one.
_STEPS: Final = ((1, 1.1, 1.25, 1.5, 2, 3, 5, 8, 9), (1, 1.25, 1.5, 2, 3, 5, 8), (1, 2, 5), (1, 3), (1,))


def log_ticks(low: float, high: float, inches: float, room: float) -> list[float]:
    """Returns the finest round values from `low` to `high` that lie `room` inches apart on an axis of `inches`."""
    decades = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for steps in _STEPS:
        ticks = [step * decade for decade in decades for step in steps if low <= step * decade <= high]
        apart = [math.log(after / before) / math.log(high / low) * inches for before, after in pairwise(ticks)]
        if min(apart, default=room) >= room:
            return ticks
    most = max(1, math.floor(inches / room))
    return ticks[:: math.ceil(len(ticks) / most)]
