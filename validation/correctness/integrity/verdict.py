"""A gate's outcome as a record."""

from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.observation import Observation


def gate(name: str, observation: Observation, fault: str | None, doubt: str | None = None) -> Gate:
    """Returns a gate's record: failed by a fault; mistrusted where an early end or a `doubt` left nothing to tell."""
    if fault:
        return Gate(gate=name, implementation=observation.implementation, outcome=Outcome.FAILED, message=fault)
    doubt = "the run ended before this could be told" if observation.ended else doubt
    if doubt:
        return Gate(gate=name, implementation=observation.implementation, outcome=Outcome.MISTRUSTED, message=doubt)
    return Gate(gate=name, implementation=observation.implementation, outcome=Outcome.PASSED)
