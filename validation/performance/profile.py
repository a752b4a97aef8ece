"""How much is measured: three named amounts, fixed before the first sample."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Pairs of processes, and calls within a process.

    A process makes `calls` timed calls. Where so many would take longer than `budget_s`, it makes as many as that
    time holds, but never fewer than `least_calls`: the spread between processes is larger than that within one, so
    another process is worth more than more calls (Kalibera and Jones 2013, section 6). Calls much shorter than
    `block_s` fill one block at least.

    Under each load that a claim names a process of the candidate serves `requests` requests: none in smoke.

    Warm-up goes on for `warm_s` and for two calls at least. Blocks that the speed probe rejects are repeated until
    `retry` times the planned number of blocks were made, or two more than planned. The discarded round makes
    `least_calls` at most.
    """

    name: str
    pairs: int
    calls: int = 30
    least_calls: int
    budget_s: float
    warm_s: float
    block_s: float = 0.05
    requests: int = 0
    retry: float = 2.0

    def calls_of(self, call_ns: float) -> int:
        """Returns how many timed calls a process makes of a kernel whose warm call takes `call_ns`."""
        held = int(self.budget_s * 1e9 / max(call_ns, 1.0))
        wanted = min(self.calls, max(self.least_calls, held))
        return max(wanted, self.block_calls(call_ns))

    def block_calls(self, call_ns: float) -> int:
        """Returns how many calls stand between two probes: about `block_s` of them, one at least."""
        return max(1, min(MOST_BLOCK_CALLS, int(self.block_s * 1e9 / max(call_ns, 1.0))))


#: A block of more calls says nothing more, and its inputs are all held in memory.
MOST_BLOCK_CALLS: Final = 256

SMOKE: Final = Profile(name="smoke", pairs=5, least_calls=5, budget_s=0.3, warm_s=0.05, retry=1.0)
STANDARD: Final = Profile(name="standard", pairs=12, least_calls=7, budget_s=0.5, warm_s=0.08, retry=1.5, requests=32)
FULL: Final = Profile(name="full", pairs=20, least_calls=30, budget_s=3.0, warm_s=0.2, requests=64)

PROFILES: Final = {profile.name: profile for profile in (SMOKE, STANDARD, FULL)}
