"""As much evidence as a full run leaves: 200,000 samples and more than 60 findings."""

from tests.synthetic import CPU_TIMES_US, evidence
from validation.evidence.record import Evidence

SAMPLES = 200_000


def big_evidence() -> Evidence:
    """The study's times with so many calls per block that all samples together are at least `SAMPLES`."""
    series = sum(len(row) for row in CPU_TIMES_US.values()) + len(CPU_TIMES_US)
    blocks, pairs = 10, 20
    calls = -(-SAMPLES // (series * blocks * (pairs + 1)))
    return evidence(pairs=pairs, blocks=blocks, calls=calls)
