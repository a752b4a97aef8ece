"""Gate: nothing is written outside the output."""

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate


def guards_held(observation: Observation) -> Gate:
    """Fails when a byte between the tensors of a block changed."""
    broken = sum(not block.guards_held for block in observation.blocks)
    return gate("guards_held", observation, f"wrote outside its output in {broken} blocks" if broken else None)
