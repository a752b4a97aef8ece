"""The speed a machine usually runs at, of speeds that strangers lowered and bursts of turbo raised."""

import math
from collections.abc import Sequence
from typing import Final

#: The quantile of a run's speeds that is their usual one.
_USUAL: Final = 0.8


def usual_speed(speeds: Sequence[float]) -> float:
    """Returns the speed that one in five exceeds (the largest of up to five), 0 without any.

    Not the largest of all: a burst of turbo, which cores that slept are given, is no speed that calls run at.
    Of runs on two shared machines the fastest probe had 41 % of the blocks rejected, the fastest twentieth 25 to 43 %,
    the fastest fifth 15 to 28 %: that is the machine's slow tail, and the rest is its usual speed.
    """
    return sorted(speeds)[math.ceil(_USUAL * (len(speeds) - 1))] if speeds else 0.0
