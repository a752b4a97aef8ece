"""A correctness case: one input, one question, one outcome."""

from enum import StrEnum

from validation.record import Record


class Outcome(StrEnum):
    """`mistrusted` is a pass that proves nothing: a kernel returning zeros would have passed too.

    `not_supported`: the candidate declined a variant of the layer that nobody claims for it.
    """

    PASSED = "passed"
    FAILED = "failed"
    NOT_SUPPORTED = "not_supported"
    MISTRUSTED = "mistrusted"


class Case(Record):
    """What was checked, how it came out, and the line that re-runs exactly it.

    `worst` is the largest error/bound seen (1 is the limit), `effective_bits` is -log2(rms error / rms reference).
    """

    id: str
    check: str
    implementation: str
    dtype: str
    shape: str
    outcome: Outcome
    worst: float | None = None
    effective_bits: float | None = None
    near_ties: int = 0
    message: str = ""
    repro: str


class Gate(Record):
    """An integrity gate: one way to cheat, looked for."""

    gate: str
    implementation: str
    outcome: Outcome
    message: str = ""
