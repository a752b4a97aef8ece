"""The Evidence record: everything a run observed. Immutable; verdicts are a pure function of it."""

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from validation.correctness.case import Case, Gate
from validation.correctness.trials import PlantedCount
from validation.evidence.environment import Environment
from validation.performance.ceiling import Ceiling
from validation.performance.figure import Figure
from validation.performance.load import LoadRun
from validation.performance.sample import ProbeRule, ProcessRun
from validation.record import Record

#: 1: first version. 2: the usual probe is called so (`probe.usual_flop_per_s`); it was called the best one. 3: calls on
#: a CPU count at the usual speed (`probe.at_usual_speed`), and the probes beside a ceiling's repeats are kept.
SCHEMA_VERSION: Final = 3


class Status(StrEnum):
    """A run that was cut off is `partial`: valid, resumable, and judged on what it holds."""

    PARTIAL = "partial"
    COMPLETE = "complete"


class Suite(Record):
    """Which suite observed this."""

    version: str
    commit: str
    dirty: bool


class WorkloadRecord(Record):
    """The shape that was run, spelled out so that verdicts need no registry.

    `shape` spells every option of the layer in one word, as `parse_shape` reads it; older evidence has none.
    """

    name: str
    shape: str = ""
    tokens: int
    d_model: int
    d_ff: int
    n_experts: int
    top_k: int
    activation: str
    gated: bool
    dtype: str
    routing: str
    seed: int
    flops: int
    min_bytes: int


class ImplementationRecord(Record):
    """What was run: `sha256` is over its source (and build, for the Mojo kernel)."""

    name: str
    family: str
    role: Literal["candidate", "baseline"]
    description: str
    sha256: str
    build: dict[str, str] = Field(default_factory=dict)


class Evidence(Record):
    """One run on one machine.

    `planted` counts the planted kernels that the suite caught; older evidence and a suite without records have none.
    `probe` is the acceptance rule of blocks on `device`, `host_probe` that of blocks on the CPU in a run on a GPU.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    run_id: str
    recorded_at: str
    profile: str
    device: Literal["cpu", "cuda"]
    seed: int
    pairs_planned: int
    status: Status
    suite: Suite
    environment: Environment
    probe: ProbeRule | None = None
    host_probe: ProbeRule | None = None
    ceilings: tuple[Ceiling, ...] = ()
    workloads: tuple[WorkloadRecord, ...] = ()
    implementations: tuple[ImplementationRecord, ...] = ()
    cases: tuple[Case, ...] = ()
    gates: tuple[Gate, ...] = ()
    planted: PlantedCount | None = None
    processes: tuple[ProcessRun, ...] = ()
    figures: tuple[Figure, ...] = ()
    loads: tuple[LoadRun, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def rule_of(self, device: str) -> ProbeRule | None:
        """Returns the rule by which blocks on `device` are accepted."""
        return self.probe if device == self.device else self.host_probe
