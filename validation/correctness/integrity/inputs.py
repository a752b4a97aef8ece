"""Gate: the input belongs to the caller."""

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate


def inputs_unchanged(observation: Observation) -> Gate:
    """Fails when any input's bytes were different after its block."""
    calls = [unchanged for block in observation.blocks for unchanged in block.x_unchanged]
    changed = calls.count(False)
    return gate("inputs_unchanged", observation, f"{changed} of {len(calls)} inputs were changed" if changed else None)
