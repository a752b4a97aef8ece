"""A gate's outcome as a record."""

from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.observation import Observation


def gate(name: str, observation: Observation, fault: str | None) -> Gate:
    """Returns the record of a gate: passed without a fault; mistrusted when the run ended before it could tell."""
    if fault:
        return Gate(gate=name, implementation=observation.implementation, outcome=Outcome.FAILED, message=fault)
    if observation.ended:
        message = "the run ended before this could be told"
        return Gate(gate=name, implementation=observation.implementation, outcome=Outcome.MISTRUSTED, message=message)
    return Gate(gate=name, implementation=observation.implementation, outcome=Outcome.PASSED)
