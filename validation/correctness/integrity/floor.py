"""Gate: no call is faster than any machine can compute."""

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate


def above_the_floor(observation: Observation) -> Gate:
    """Fails on a call below the physical floor: the harness is at fault or deceived, and it is never a win.

    Mistrusted where the machine is of a kind whose floor is not known: nothing was compared.
    """
    fastest, floor = observation.fastest_ns(*{block.scene for block in observation.whole}), observation.floor_ns
    fault = None
    if fastest is not None and floor is not None and fastest < floor:
        took, least = f"a call took {fastest / 1e6:.3g} ms", f"{floor / 1e6:.3g} ms"
        fault = f"harness_fault: {took}; no machine like this needs less than {least}"
    doubt = "the floor of this kind of machine is not known" if floor is None else None
    return gate("above_the_floor", observation, fault, doubt)
