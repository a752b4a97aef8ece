"""The speed a machine usually runs at, of speeds that strangers lowered and bursts of turbo raised."""

import math
from collections.abc import Sequence
from typing import Final

#: The quantile of a run's probes that is their usual speed on a CPU: calls are set in relation to it one by one, so
#: that it must lie in the middle of what they met. Where a call's time does not follow the cores' speed, nothing is
#: gained and nothing shifted.
MEDIAN: Final = 0.5
#: That of a device which nobody shares, and of a ceiling's repeats: what lies below is its slow tail. Not the largest:
#: a burst of turbo, which cores that slept are given, is no speed that calls run at. Of runs on two shared machines the
#: fastest probe had 41 % of the blocks rejected, the fastest twentieth 25 to 43 %, the fastest fifth 15 to 28 %.
ONE_IN_FIVE: Final = 0.8


def usual_speed(speeds: Sequence[float], quantile: float = ONE_IN_FIVE) -> float:
    """Returns the smallest of `speeds` that is not below the `quantile` of them, 0 without any."""
    return sorted(speeds)[math.ceil(quantile * (len(speeds) - 1))] if speeds else 0.0
