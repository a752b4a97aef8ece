"""Requests that were served under a load, as evidence."""

from typing import Annotated, Literal

from pydantic import Field

from validation.claims.claim import Load
from validation.performance.sample import SEEN_THEN, Nanoseconds, ProbeRule
from validation.record import Record


class LoadRun(Record):
    """The requests of one process under one load, in the order they arrived, and the speed probes around them.

    A latency is from a request's arrival to its answer, by the worker's clock: waiting, copying, the call. Requests
    with which a closed loop fills up are not counted. Every answer was checked afterwards; `outputs_wrong` failed.
    `others_share` is that of a block.
    """

    implementation: str
    workload: str
    dtype: str
    device: Literal["cpu", "cuda"]
    load: Load
    round: Annotated[int, Field(ge=0)]
    probe_before: float
    probe_after: float
    accepted: bool
    reason: str = ""
    parent_ns: Nanoseconds
    latencies_ns: tuple[Nanoseconds, ...]
    outputs_wrong: int = 0
    others_share: Annotated[float, Field(ge=0)] | None = None


def judged_load(run: LoadRun, rule: ProbeRule) -> LoadRun:
    """Returns `run` as accepted or rejected by `rule`; what was seen amiss then stays so."""
    if run.reason in SEEN_THEN:
        return run
    reason = rule.objection(run.probe_before, run.probe_after, run.others_share)
    return run.model_copy(update={"accepted": not reason, "reason": reason})


def accepts_load(rule: ProbeRule | None, run: LoadRun) -> bool:
    """Whether the requests count: nothing was seen amiss, and no objection by the rule."""
    if run.reason in SEEN_THEN:
        return False
    return rule is None or not rule.objection(run.probe_before, run.probe_after, run.others_share)
