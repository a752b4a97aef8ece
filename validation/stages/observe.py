"""Observes: correctness, ceilings, then the timed processes. The evidence file is whole after every one of them."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.evidence.record import Evidence, ImplementationRecord, Status, WorkloadRecord
from validation.evidence.store import write
from validation.implementations.shared_layer import SharedLayer
from validation.performance.ceilings import larger, measure_ceilings
from validation.performance.events import ProcessFailed, SeriesMeasured
from validation.performance.load import judged_load
from validation.performance.measure import Measurement, measure
from validation.performance.order import draw_order
from validation.performance.probe import Probe
from validation.performance.sample import apply_rule, probe_rule
from validation.stages.beside import beside
from validation.stages.console import step
from validation.workloads.inputs import TokenBank, make_layer

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from rich.console import Console

    from validation.implementations.implementation import Implementation
    from validation.implementations.mojo_build import BuiltKernel, Manifest
    from validation.performance.sample import ProcessRun
    from validation.stages.plan import Contest, RunPlan
    from validation.workloads.workload import Workload


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
    baselines = {one.name: one for contest in plan.contests for one in contest.baselines}
    return (
        _implementation_record(plan.candidate, "candidate", plan.builds.get(plan.candidate.name)),
        *(_implementation_record(one, "baseline", plan.builds.get(one.name)) for one in baselines.values()),
    )


def observe_ceilings(journal: Journal, console: Console) -> None:
    """Adds the machine's ceilings, unless an earlier run left them."""
    if not journal.evidence.ceilings:
        with step(console, "ceilings measured", 1) as shown:
            journal.add(ceilings=measure_ceilings())
            shown.advance()


def observe_ceilings_again(journal: Journal, console: Console) -> None:
    """Measures the CPU's ceilings a second time and keeps the larger of each.

    A shared machine's memory bandwidth was seen at 43 and at 82 GB/s within minutes, and what is faster than a ceiling
    that was measured too low would be called a fault.
    """
    with step(console, "ceilings measured again", 1) as shown:
        journal.add(ceilings=larger(journal.evidence.ceilings, measure_ceilings()))
        shown.advance()


def observe_contest(contest: Contest, plan: RunPlan, journal: Journal, console: Console) -> None:
    """Adds the processes of one workload; those an earlier run measured stay as they are."""
    workload = contest.workload
    # Threads of this process spin for some ms after it checked an output; one alone leaves the cores to the worker.
    torch.set_num_threads(1)
    bank = TokenBank.draw(workload)
    layer = make_layer(workload.layer, workload.seed)
    expected = expect(layer, bank.tokens)

    def check(
        rows: npt.NDArray[np.int64], out: torch.Tensor, ids: torch.Tensor | None, weights: torch.Tensor | None
    ) -> bool:
        return compare(expected.rows(rows), out, ids, weights, proves=False).passed

    aside = beside(plan.claims, workload)
    finished = {(run.round, run.position) for run in journal.evidence.processes if _of(run, workload)}
    names = [one.name for one in contest.baselines]
    turns = len(draw_order(plan.profile.pairs, names, journal.evidence.seed))
    rule = probe_rule(journal.evidence.processes)
    title = f"{workload.name} {workload.layer.dtype}: processes timed"
    with Probe() as probe, SharedLayer.of(layer) as shared, step(console, title, turns) as shown:
        shown.done = len(finished)
        measurement = Measurement(
            bank=bank,
            layer=shared,
            candidate=plan.candidate,
            baselines=contest.baselines,
            profile=plan.profile,
            threads=plan.threads,
            seed=journal.evidence.seed,
            probe=probe,
            check=check,
            best_probe=rule.best_flop_per_s if rule else 0.0,
            afterwards=aside,
        )

        def on_event(event: object) -> None:
            if isinstance(event, SeriesMeasured) and event.median_ns is not None:
                shown.note(f"{event.implementation} {event.median_ns / 1e6:.3g} ms")
            elif isinstance(event, ProcessFailed):
                console.print(f"  {event.role.value} ended: {event.cause}", markup=False, highlight=False)

        for run in measure(measurement, finished=finished, on_event=on_event):
            loads = (*journal.evidence.loads, *aside.taken())
            journal.add(processes=(*journal.evidence.processes, run), loads=loads)
            shown.advance()
    journal.add(figures=aside.figures(plan.candidate.name, journal.evidence.figures))


def complete(journal: Journal) -> Evidence:
    """Judges every block by the best probe of the whole run and closes the evidence."""
    rule = probe_rule(journal.evidence.processes)
    processes = journal.evidence.processes if rule is None else apply_rule(journal.evidence.processes, rule)
    loads = journal.evidence.loads if rule is None else tuple(judged_load(run, rule) for run in journal.evidence.loads)
    journal.add(probe=rule, processes=processes, loads=loads, status=Status.COMPLETE)
    return journal.evidence


def run_id(seed: int) -> str:
    """Returns a name for this run: when, and a digest that tells two runs of one second apart."""
    digest = hashlib.sha256(f"{seed}:{time.time_ns()}".encode()).hexdigest()[:6]
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest}"


def _of(run: ProcessRun, workload: Workload) -> bool:
    """Whether the process measured `workload` in its dtype; one that ended early is taken by the name alone."""
    dtypes = {series.dtype for series in run.series}
    return run.workload == workload.name and (not dtypes or workload.layer.dtype in dtypes)


def _implementation_record(one: Implementation, role: str, built: BuiltKernel | None) -> ImplementationRecord:
    return ImplementationRecord(
        name=one.name,
        family=one.family,
        role="candidate" if role == "candidate" else "baseline",
        description=one.description,
        sha256=hashlib.sha256(one.source.read_bytes()).hexdigest(),
        build={} if built is None else _build_record(built.manifest),
    )


def _build_record(manifest: Manifest) -> dict[str, str]:
    return {
        "compiler": manifest.compiler,
        "target": manifest.target_cpu,
        "flags": " ".join(manifest.flags),
        "sources_sha256": manifest.sources_sha256,
        "library_sha256": manifest.library_sha256,
    }
