"""Gate: every output is right, whichever call it is of."""

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate


def every_output_right(observation: Observation) -> Gate:
    """Fails on a single wrong output: memo by address, by shape or by part of the content, stale memory, late work."""
    wrong = {
        block.scene.value: f"{block.right.count(False)} of {len(block.right)}"
        for block in observation.blocks
        if not all(block.right)
    }
    fault = "; ".join(f"{count} outputs wrong on {scene}" for scene, count in wrong.items())
    return gate("every_output_right", observation, fault or None)
