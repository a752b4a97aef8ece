"""What the clock saw: timed calls, the probes around them, and the process they ran in."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from validation.performance.gpu_state import GpuState
from validation.performance.sustained import Sustained
from validation.performance.unclocked import Unclocked
from validation.performance.usual import MEDIAN, ONE_IN_FIVE, usual_speed
from validation.record import Record

Nanoseconds = Annotated[int, Field(ge=0)]


class Role(StrEnum):
    """Why a process was started: `candidate_again` is the second half of the A/A null."""

    CANDIDATE = "candidate"
    CANDIDATE_AGAIN = "candidate_again"
    BASELINES = "baselines"


#: Why a block is rejected: a probe beside it ran slow, other processes took the cores, the worker's clock and the
#: parent's do not fit, the worker ran while a probe did, or it used more CPU time than the cores it was given have.
PROBE_SLOW: Final = "probe_slow"
OTHERS_RAN: Final = "others_ran"
CLOCK_DISAGREES: Final = "clock_disagrees"
WORKER_RAN: Final = "worker_ran"
CORES_EXCEEDED: Final = "cores_exceeded"

#: What was seen while the block was made, and no rule looks up again: all that the kernel itself can bring about.
SEEN_THEN: Final = frozenset({CLOCK_DISAGREES, WORKER_RAN, CORES_EXCEEDED})


class Block(Record):
    """Timed calls between two speed probes; accepted when neither was slow and nobody else took the cores.

    `calls_ns` is each call by the worker's clock, `parent_ns` all of them by the parent's. Probes are FLOP/s of
    multiply-adds of operands in L1 on all cores. Every output of the block was checked after its clock stopped:
    `outputs_wrong` of them failed. A rejected block keeps its samples and says why. `waits` probes were slow before
    the block began, and were waited out. `others_share` is the CPU time of all other processes during the calls, over
    the time of all cores; None where it was not looked at. Of a GPU's calls `calls_ns` lie between events and
    `hosts_ns` end when the GPU was idle, the probe is a matmul on it, and its state was read beside the probes. The
    calls at the places `unseen` were on tokens drawn for them alone.
    """

    probe_before: float
    probe_after: float
    accepted: bool
    reason: str = ""
    parent_ns: Nanoseconds
    calls_ns: tuple[Nanoseconds, ...]
    unseen: tuple[Annotated[int, Field(ge=0)], ...] = ()
    outputs_wrong: int = 0
    waits: Annotated[int, Field(ge=0)] = 0
    others_share: Annotated[float, Field(ge=0)] | None = None
    hosts_ns: tuple[Nanoseconds, ...] = ()
    gpu_before: GpuState | None = None
    gpu_after: GpuState | None = None

    @model_validator(mode="after")
    def _unseen_calls_exist(self) -> Self:
        if any(place >= len(self.calls_ns) for place in self.unseen):
            msg = f"unseen must name places of calls_ns, below {len(self.calls_ns)}; got {max(self.unseen)}"
            raise ValueError(msg)
        return self


class Series(Record):
    """All timed calls of one implementation on one workload in one process.

    `cold_ns` are calls on a GPU whose cache had just been emptied, `sustained` calls without a pause, `unclocked`
    short calls on a CPU that the parent alone timed: beside the blocks, and no part of a time that is compared.
    """

    implementation: str
    workload: str
    dtype: str
    device: str
    prepare_ns: Nanoseconds
    prepare_bytes: int
    first_call_ns: Nanoseconds
    blocks: tuple[Block, ...]
    cold_ns: tuple[Nanoseconds, ...] = ()
    sustained: Sustained | None = None
    unclocked: tuple[Unclocked, ...] = ()

    @property
    def accepted_ns(self) -> tuple[int, ...]:
        """The calls of accepted blocks as they took, in the order they were made."""
        return tuple(ns for block in self.blocks if block.accepted for ns in block.calls_ns)


class ProcessRun(Record):
    """One fresh process: its place in the drawn order, and what it measured or how it ended.

    Round 0 is the discarded one. `position` is the process's place in its round. `ended` is empty when the process
    answered to the end, else the named cause (signal, time limit, memory limit, exception). `workload` is also that
    of its series; a process that ended early has none. `doings` are what a candidate was reported to do that no kernel
    needs, and what it changed of its process, whether it was timed meanwhile or not; of baselines, whom nobody
    suspects, what was changed of their process by another.
    """

    round: Annotated[int, Field(ge=0)]
    position: Annotated[int, Field(ge=0)]
    role: Role
    discarded: bool
    threads: int
    blas: str = ""
    series: tuple[Series, ...] = ()
    ended: str = ""
    workload: str = ""
    doings: tuple[str, ...] = ()


class ProbeRule(Record):
    """What counts, and as how much: fixed before the first sample.

    A block counts when both probes beside it reached `share` of the run's usual speed, `usual_flop_per_s`, and others
    took at most `others` of the cores' time: four times the 0.5 % that 19 of 20 blocks stayed below on two cores where
    nothing else was started.

    With `at_usual_speed` a call counts with the time that it would have taken at the usual speed: its time, times what
    the probes beside it reached of that speed. This is for a CPU, whose neighbours share its cores' units, cache and
    power: on one the probes of a run spread by 10 % of their middle, evenly, and half of that within a second.
    """

    # 0.7, 0.85 and 0.9 give intervals as wide within a tenth (docs/METHOD.md, "Why at the usual speed"); without any
    # threshold they are twice as wide where a host takes cores away.
    share: float = 0.8
    others: float = 0.02
    usual_flop_per_s: float
    at_usual_speed: bool = True

    @classmethod
    def on(cls, device: str, usual_flop_per_s: float) -> Self:
        """The rule for blocks on `device`: on a GPU, which nobody shares, calls count as they are."""
        if device == "cuda":
            return cls(share=0.93, usual_flop_per_s=usual_flop_per_s, at_usual_speed=False)
        return cls(usual_flop_per_s=usual_flop_per_s)

    @classmethod
    def of(cls, device: str, speeds: Sequence[float]) -> Self:
        """The rule for blocks on `device` between probes of these `speeds`."""
        return cls.on(device, usual_speed(speeds, ONE_IN_FIVE if device == "cuda" else MEDIAN))

    def holds(self, flop_per_s: float) -> bool:
        """Whether a probe ran at full speed."""
        return flop_per_s >= self.share * self.usual_flop_per_s

    def objection(self, probe_before: float, probe_after: float, others_share: float | None) -> str:
        """Why calls between two probes do not count, or nothing."""
        if not self.holds(min(probe_before, probe_after)):
            return PROBE_SLOW
        return OTHERS_RAN if others_share is not None and others_share > self.others else ""

    def counted_ns(self, block: Block) -> tuple[int, ...]:
        """The times that the block's calls count with, in nanoseconds."""
        if not self.at_usual_speed:
            return block.calls_ns
        speed = (block.probe_before + block.probe_after) / 2 / self.usual_flop_per_s
        return tuple(round(ns * speed) for ns in block.calls_ns)


def probe_rule(processes: Iterable[ProcessRun], *, device: str = "cpu") -> ProbeRule | None:
    """Returns the rule for blocks on `device` with the usual probe filled in; None when nothing was probed there."""
    speeds = probes(processes, device)
    return ProbeRule.of(device, speeds) if speeds else None


def probes(processes: Iterable[ProcessRun], device: str) -> list[float]:
    """Returns what the speed probe of `device` read beside every block there."""
    return [
        speed
        for process in processes
        for series in process.series
        if series.device == device
        for block in series.blocks
        for speed in (block.probe_before, block.probe_after)
    ]


def judged(block: Block, rule: ProbeRule) -> Block:
    """Returns `block` as accepted or rejected by `rule`; clocks that disagreed stay so, and a worker that ran."""
    if block.reason in SEEN_THEN:
        return block
    reason = rule.objection(block.probe_before, block.probe_after, block.others_share)
    return block.model_copy(update={"accepted": not reason, "reason": reason})


def apply_rule(
    processes: Iterable[ProcessRun], rule: ProbeRule, *, device: str | None = None
) -> tuple[ProcessRun, ...]:
    """Returns the processes with every block (on `device`) judged by `rule`, whose usual probe is the whole run's."""
    return tuple(
        process.model_copy(
            update={
                "series": tuple(
                    series.model_copy(update={"blocks": tuple(judged(block, rule) for block in series.blocks)})
                    if device in {None, series.device}
                    else series
                    for series in process.series
                )
            }
        )
        for process in processes
    )
