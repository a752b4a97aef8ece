"""Observes: correctness, ceilings, then the timed processes. The evidence file is whole after every one of them."""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch

from validation.evidence.record import Evidence, ImplementationRecord, Status, WorkloadRecord
from validation.evidence.store import write
from validation.implementations.gpu_bundle import BuiltBundle
from validation.performance.ceilings import larger, measure_ceilings
from validation.performance.events import LeftOut, ProcessFailed, SeriesMeasured
from validation.performance.load import judged_load
from validation.performance.measure import Measurement, measure
from validation.performance.order import draw_order
from validation.performance.profile import PROFILES
from validation.performance.sample import OTHERS_RAN, apply_rule, probe_rule
from validation.stages.beside import beside
from validation.stages.console import step
from validation.stages.gauges import gauges_of, gpu_figures
from validation.stages.ground import ground
from validation.workloads.shape import shape_string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from rich.console import Console

    from validation.implementations.implementation import Implementation
    from validation.implementations.mojo_build import BuiltKernel, Manifest
    from validation.performance.ceiling import Ceiling
    from validation.performance.events import Event
    from validation.performance.sample import ProcessRun
    from validation.stages.console import Step
    from validation.stages.contest import Contest
    from validation.stages.plan import RunPlan
    from validation.workloads.workload import Workload


#: From this share of blocks on, that other processes ran is told while the run goes on.
_TOLD_SHARE: Final = 0.1


@dataclass(slots=True, kw_only=True)
class Journal:
    """The evidence so far and the file that holds it; every entry is on disk before the next is made."""

    evidence: Evidence
    path: Path

    def add(self, **fields: object) -> None:
        """Sets fields of the evidence and writes the file."""
        self.evidence = self.evidence.model_copy(update=fields)
        write(self.evidence, self.path)


def workload_record(workload: Workload) -> WorkloadRecord:
    """Returns the workload spelled out."""
    layer = workload.layer
    return WorkloadRecord(
        name=workload.name,
        shape=shape_string(workload),
        tokens=workload.tokens,
        d_model=layer.d_model,
        d_ff=layer.d_ff,
        n_experts=layer.n_experts,
        top_k=layer.top_k,
        activation=layer.activation,
        gated=layer.gated,
        dtype=layer.dtype,
        routing=workload.routing.value,
        seed=workload.seed,
        flops=workload.flops,
        min_bytes=workload.min_bytes,
    )


def implementation_records(plan: RunPlan) -> tuple[ImplementationRecord, ...]:
    """Returns the candidate and every baseline of the plan, each with the sha256 of its source."""
    baselines = {one.name: one for contest in plan.contests for one in contest.all_baselines}
    return (
        _implementation_record(plan.candidate, "candidate", plan.builds.get(plan.candidate.name)),
        *(_implementation_record(one, "baseline", plan.builds.get(one.name)) for one in baselines.values()),
    )


def observe_ceilings(journal: Journal, console: Console) -> None:
    """Adds the machine's ceilings, unless an earlier run left them."""
    if not journal.evidence.ceilings:
        with step(console, "ceilings measured", 1) as shown:
            journal.add(ceilings=_ceilings(journal.evidence.device))
            shown.advance()


def _ceilings(device: str) -> tuple[Ceiling, ...]:
    """The ceilings of the CPU, and of the GPU in a run on one."""
    if device == "cpu":
        return measure_ceilings()
    from validation.performance.cuda_ceilings import measure_cuda_ceilings  # noqa: PLC0415 -- only on a GPU

    return (*measure_ceilings(), *measure_cuda_ceilings())


def observe_ceilings_again(journal: Journal, console: Console) -> None:
    """Measures the CPU's ceilings a second time and keeps the larger of each.

    A shared machine's memory bandwidth was seen at 43 and at 82 GB/s within minutes, and what is faster than a ceiling
    that was measured too low would be called a fault.
    """
    with step(console, "ceilings measured again", 1) as shown:
        journal.add(ceilings=larger(journal.evidence.ceilings, _ceilings(journal.evidence.device)))
        shown.advance()


def observe_contest(  # noqa: PLR0913 -- what is measured, for how long, and where it goes
    contest: Contest,
    plan: RunPlan,
    journal: Journal,
    console: Console,
    between: Callable[[], None] | None = None,
    *,
    limit_s: float = math.inf,
) -> None:
    """Adds the processes of one workload, within `limit_s`; those an earlier run measured stay as they are.

    `between` two of them, which two is drawn here and now, something else may be done; or after the last one.
    """
    workload, device = contest.workload, plan.device
    if device == "cpu" or contest.host is not None:
        # Threads of this process spin for some ms after it checked an output; one alone leaves the cores to the worker.
        torch.set_num_threads(1)
    aside = beside(plan.claims, workload, plan.threads, plan.official)
    finished = [run for run in journal.evidence.processes if _of(run, contest)]
    names = [one.name for one in contest.baselines]
    hosts = [one.name for one in contest.host.baselines] if contest.host else []
    turns = len(draw_order(plan.profile.pairs, names, journal.evidence.seed, host=hosts))
    named = f"{workload.name} {workload.layer.dtype}"
    with ExitStack() as stack:
        shown = stack.enter_context(step(console, f"{named}: processes timed", turns))
        shown.done = len(finished)
        host = None
        if contest.host is not None:
            host = _measurement(contest.host, plan, journal, stack)
        measurement = replace(_measurement(contest, plan, journal, stack), afterwards=aside, host=host, limit_s=limit_s)
        left_out: list[str] = []

        def on_event(event: Event) -> None:
            if isinstance(event, LeftOut):
                left_out.append(f"{event.what} of {named}: the time of profile {plan.profile.name} was over")
            _show(event, shown, console)

        drawn = secrets.randbelow(max(turns - len(finished), 1))
        for number, run in enumerate(measure(measurement, finished=finished, on_event=on_event)):
            loads = (*journal.evidence.loads, *aside.taken())
            processes = (*journal.evidence.processes, run)
            journal.add(**_ruled(by_rule(journal.evidence.model_copy(update={"processes": processes, "loads": loads}))))
            shown.advance()
            if between is not None and number >= drawn:
                between()
                between = None
    if between is not None:
        between()
    journal.add(
        figures=aside.figures(journal.evidence, plan.candidate.name),
        left_out=(*journal.evidence.left_out, *left_out),
    )
    noise = _noise(journal.evidence.processes)
    if noise:
        console.print(f"  {noise}", markup=False, highlight=False)


def _show(event: Event, shown: Step, console: Console) -> None:
    if isinstance(event, SeriesMeasured) and event.median_ns is not None:
        shown.note(f"{event.implementation} {event.median_ns / 1e6:.3g} ms")
    elif isinstance(event, ProcessFailed):
        console.print(f"  {event.role.value} ended: {event.cause}", markup=False, highlight=False)


def _noise(processes: Iterable[ProcessRun]) -> str:
    """What to tell of other processes that had the cores beside more than a tenth of the blocks, or nothing."""
    blocks = [block for process in processes for series in process.series for block in series.blocks]
    beside = sum(block.reason == OTHERS_RAN for block in blocks)
    if beside <= _TOLD_SHARE * len(blocks):
        return ""
    return (
        f"Other processes had the cores beside {beside} of {len(blocks)} blocks of calls, which do not count. "
        "Stop them and run again for narrower intervals."
    )


def _measurement(contest: Contest, plan: RunPlan, journal: Journal, stack: ExitStack) -> Measurement:
    """All that measuring the contest's own baselines (and the candidate) on its device takes, open in `stack`."""
    device = contest.workload.layer.device
    on, gauges = stack.enter_context(ground(contest.workload, contest.layer)), stack.enter_context(gauges_of(device))
    rule = probe_rule(journal.evidence.processes, device=device)
    return Measurement(
        bank=on.bank,
        layer=on.layer,
        candidate=plan.candidate,
        baselines=contest.baselines,
        profile=plan.profile if device == plan.device else PROFILES[plan.profile.name],
        threads=plan.threads,
        seed=journal.evidence.seed,
        probe=gauges.probe,
        check=on.check,
        unseen=on.unseen,
        usual_probe=rule.usual_flop_per_s if rule else 0.0,
        gpu_state=gauges.gpu_state,
        energy_j=gauges.energy_j,
        energy=plan.energy if device == "cuda" else frozenset(),
    )


def complete(journal: Journal) -> Evidence:
    """Judges every block by the usual probe of its device in the whole run and closes the evidence."""
    evidence = by_rule(journal.evidence)
    figures = (*evidence.figures, *gpu_figures(evidence.processes))
    journal.add(**_ruled(evidence), figures=figures, status=Status.COMPLETE)
    return journal.evidence


def by_rule(evidence: Evidence) -> Evidence:
    """Returns the evidence with every block judged by the usual probe of its device so far.

    Also what is cut off in the middle is so judged, and can be judged by others.
    """
    rules = {device: probe_rule(evidence.processes, device=device) for device in ("cpu", "cuda")}
    processes, loads = evidence.processes, evidence.loads
    for device, rule in rules.items():
        if rule is not None:
            processes = apply_rule(processes, rule, device=device)
            loads = tuple(judged_load(run, rule) if run.device == device else run for run in loads)
    return evidence.model_copy(
        update={
            "probe": rules[evidence.device],
            "host_probe": rules["cpu"] if evidence.device == "cuda" else None,
            "processes": processes,
            "loads": loads,
        }
    )


def _ruled(evidence: Evidence) -> dict[str, object]:
    """The fields that `by_rule` sets."""
    return {name: getattr(evidence, name) for name in ("probe", "host_probe", "processes", "loads")}


def run_id(seed: int) -> str:
    """Returns a name for this run: when, and a digest that tells two runs of one second apart."""
    digest = hashlib.sha256(f"{seed}:{time.time_ns()}".encode()).hexdigest()[:6]
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest}"


def _of(run: ProcessRun, contest: Contest) -> bool:
    """Whether the process measured the contest's workload, or its host's; one that ended early is taken by the name."""
    of = [one.workload.layer for one in (contest, contest.host) if one is not None]
    measured = {(series.dtype, series.device) for series in run.series}
    wanted = {(layer.dtype, layer.device) for layer in of}
    return run.workload == contest.workload.name and (not measured or bool(measured & wanted))


def _implementation_record(
    one: Implementation, role: str, built: BuiltKernel | BuiltBundle | None
) -> ImplementationRecord:
    return ImplementationRecord(
        name=one.name,
        family=one.family,
        role="candidate" if role == "candidate" else "baseline",
        description=one.description,
        sha256=_source_sha256(one.source),
        build={}
        if built is None
        else built.record
        if isinstance(built, BuiltBundle)
        else _build_record(built.manifest),
    )


def _source_sha256(source: Path) -> str:
    """The sha256 of a kernel's file, or of all files of its folder where it is a package."""
    files = sorted(source.parent.glob("*.py")) if source.name == "__init__.py" else [source]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _build_record(manifest: Manifest) -> dict[str, str]:
    return {
        "compiler": manifest.compiler,
        "target": manifest.target_cpu,
        "flags": " ".join(manifest.flags),
        "sources_sha256": manifest.sources_sha256,
        "library_sha256": manifest.library_sha256,
    }
