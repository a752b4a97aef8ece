"""Gate: the worker's clock tells what the parent's tells."""

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate


def clocks_agree(observation: Observation) -> Gate:
    """Fails when a clock was replaced, or when both clocks disagree in most blocks: the host disturbs a few."""
    faults = []
    after = observation.state_after or {}
    # A GPU's clock is read by events, methods of a class as any other.
    events = [name for name in ("elapsed_time", "record") if name in after.get("patched tensor", "")]
    patched = [name for name in (after.get("patched clocks", "none"), *events) if name != "none"]
    if patched:
        faults.append(f"replaced {', '.join(patched)}")
    # Calls on one token take no longer than the asking.
    blocks = observation.whole
    if observation.price is not None and blocks:
        disagree = [
            block for block in blocks if not observation.price.agrees(block.calls_ns, block.parent_ns, block.hosts_ns)
        ]
        if 2 * len(disagree) > len(blocks):
            worst = max(disagree, key=lambda block: abs(block.parent_ns - sum(block.calls_ns)))
            faults.append(
                f"{len(disagree)} of {len(blocks)} blocks: its calls are said to take "
                f"{sum(worst.calls_ns) / 1e6:.3g} ms, and took {worst.parent_ns / 1e6:.3g} ms"
            )
    return gate("clocks_agree", observation, "; ".join(faults) or None)
