"""How much is measured: three named amounts, fixed before the first sample."""

import math
from dataclasses import dataclass, replace
from typing import Final

#: A block of more calls says nothing more, and its inputs are all held in memory.
MOST_BLOCK_CALLS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Pairs of processes, and calls within a process.

    A process makes `calls` timed calls. Where so many would take longer than `budget_s`, it makes as many as that
    time holds, but never fewer than `least_calls`: the spread between processes is larger than that within one, so
    another process is worth more than more calls (Kalibera and Jones 2013, section 6). Calls much shorter than
    `block_s` fill one block at least.

    Under each load that a claim names a process of the candidate serves `requests` requests: none in smoke.

    Warm-up goes on for `warm_s` and for one call at least. Blocks that the speed probe rejects are repeated until
    `retry` times the planned number of blocks were made, or two more than planned.

    A run is to end within `limit_s`, on a machine that strangers keep busy too. While it is late nothing is waited for
    or repeated, and the costliest baselines sit out, as many as that takes; at its end rounds are left out, but for the
    first `least_pairs`, of which a verdict needs so many. Waiting and repeating take `patience_s` of a
    workload at most, so that a light one leaves its time to those after it.
    """

    name: str
    pairs: int
    calls: int = 30
    least_calls: int
    budget_s: float
    warm_s: float
    block_s: float = 0.02
    requests: int = 0
    retry: float = 2.0
    limit_s: float = math.inf
    least_pairs: int = 5
    patience_s: float = math.inf
    most_block_calls: int = MOST_BLOCK_CALLS

    def calls_of(self, call_ns: float) -> int:
        """Returns how many timed calls a process makes of a kernel whose warm call takes `call_ns`."""
        held = int(self.budget_s * 1e9 / max(call_ns, 1.0))
        wanted = min(self.calls, max(self.least_calls, held))
        return max(wanted, self.block_calls(call_ns))

    def block_calls(self, call_ns: float) -> int:
        """Returns how many calls stand between two probes: about `block_s` of them, one at least."""
        return max(1, min(self.most_block_calls, int(self.block_s * 1e9 / max(call_ns, 1.0))))


SMOKE: Final = Profile(name="smoke", pairs=5, least_calls=3, budget_s=0.1, warm_s=0.03, retry=1.5, limit_s=90)
STANDARD: Final = Profile(name="standard", pairs=12, least_calls=5, budget_s=0.1, warm_s=0.05, requests=20, limit_s=300)
FULL: Final = Profile(
    name="full", pairs=20, least_calls=5, budget_s=0.5, warm_s=0.1, requests=64, limit_s=3600, patience_s=90
)

PROFILES: Final = {profile.name: profile for profile in (SMOKE, STANDARD, FULL)}

#: On a GPU calls take microseconds and checking an output some 30 ms: a process makes one block of 16, after 2 ms of
#: warm-up. Its value is still a median, and values spread more between processes than calls within one.
_GPU_CALLS: Final = 16
_GPU_WARM_S: Final = 0.002


def on_gpu(profile: Profile) -> Profile:
    """Returns the profile as it is on a GPU: as many processes, no more calls than can be checked, without a limit."""
    return replace(profile, calls=_GPU_CALLS, most_block_calls=_GPU_CALLS, warm_s=_GPU_WARM_S, limit_s=math.inf)
