"""Gate: no call is faster than the machine can compute."""

from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate

#: Ceilings are measured to a few per cent.
LEAST_SHARE: Final = 0.95


def above_the_floor(observation: Observation) -> Gate:
    """Fails on a call below the physical floor: the harness is at fault or deceived, and it is never a win."""
    fastest, floor = observation.fastest_ns(*{block.scene for block in observation.blocks}), observation.floor_ns
    fault = None
    if fastest is not None and floor is not None and fastest < LEAST_SHARE * floor:
        fault = f"harness_fault: a call took {fastest / 1e6:.3g} ms; the machine needs {floor / 1e6:.3g} ms"
    return gate("above_the_floor", observation, fault)
