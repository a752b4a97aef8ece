"""Gate: the kernel answers every call, with plain tensors, through nothing but its result, to the end."""

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate


def answers_to_the_end(observation: Observation) -> Gate:
    """Fails when the run ended early: an exception, a signal, a limit, a lazy tensor, a forged answer."""
    return gate("answers_to_the_end", observation, observation.ended or None)
