"""`run`: check, measure, judge and report."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from rich.console import Console

from validation import __version__
from validation.correctness.case import Outcome
from validation.correctness.spec import LayerVariant
from validation.evidence.fingerprint import collect_environment
from validation.evidence.record import Evidence, Status
from validation.evidence.store import load
from validation.evidence.suite import suite_info
from validation.stages.acceptance import objections
from validation.stages.examine import examine, observe_gates
from validation.stages.figures import observe_figures
from validation.stages.observe import (
    Journal,
    complete,
    implementation_records,
    observe_ceilings,
    observe_ceilings_again,
    observe_contest,
    run_id,
    workload_record,
)
from validation.stages.plan import SEED, RunPlan, RunRequest, plan_run
from validation.stages.planted import planted_count
from validation.stages.report import publish, read_evidence
from validation.stages.subject import Subject
from validation.usage import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from validation.correctness.case import Gate
    from validation.implementations.mailbox import Doing
    from validation.report.material import EvidenceFile

__all__ = ["RunRequest", "run_validation"]

#: What comes after the last process: ceilings again, figures, the verdicts, the report. 10 to 28 s on two busy cores;
#: before a run's clock starts Python itself has taken 2, and the last process may end 4 later than thought. With 30 in
#: all a standard run took 302 s there.
_AFTERWARDS_S: Final = 34.0


def run_validation(request: RunRequest) -> bool:
    """Runs everything and writes evidence, verdicts and report; False when the candidate is rejected.

    Raises:
        UsageError: before any work, when the request is at fault.
        KeyboardInterrupt: at any time, with a sentence on what is kept.
    """
    console, began_s = Console(), time.monotonic()
    plan = plan_run(request)
    path = request.out / "evidence.json"
    journal = Journal(evidence=_begun(plan, path, resume=request.resume), path=path)
    console.print(
        f"moe-validation {__version__}, profile {plan.profile.name}: {plan.candidate.name} on "
        f"{journal.evidence.environment.machine}, {plan.threads} threads",
        highlight=False,
    )
    try:
        _observe(plan, journal, console, began_s)
    except KeyboardInterrupt:
        # Of a run cut off before its first entry there is no file, or an earlier run's.
        begun = bool(journal.evidence.cases)
        kept = f"What was observed is in {path}; the same command with --resume goes on." if begun else ""
        raise KeyboardInterrupt(kept) from None
    return publish((_as_observed(journal),), plan.claims, request.out, console)


def _as_observed(journal: Journal) -> EvidenceFile:
    """Reads the evidence back that verdicts are of.

    Raises:
        UsageError: it is not what was observed: a process of a kernel's can write to the file before it has its name.
    """
    (file,) = read_evidence((journal.path,))
    if file.evidence != journal.evidence:
        wanted = f"{journal.path} must hold what this run observed; something else has written to it meanwhile"
        raise UsageError(f"{wanted}. No verdict is given: end what is left of the kernel's processes and run again")
    return file


def _observe(plan: RunPlan, journal: Journal, console: Console, began_s: float) -> None:
    """Observes all that is planned; `began_s` is when the run began, by the monotonic clock."""
    doings: tuple[Doing, ...] = ()
    if not journal.evidence.cases:
        dtypes = sorted({contest.workload.layer.dtype for contest in plan.contests}) or ["float32"]
        examined = examine(_subject(plan), plan.correctness, console, dtypes=dtypes)
        doings = examined.doings
        journal.add(cases=examined.cases, left_out=(*journal.evidence.left_out, *examined.left_out))
    looked_s = time.monotonic()
    if not journal.evidence.gates and not objections((journal.evidence,), None):
        journal.add(gates=observe_gates(_subject(plan), console, doings))
    # The second look takes as long as the first.
    look_s = time.monotonic() - looked_s
    if objections((journal.evidence,), None):
        # No speed number without a correctness pass: a wrong kernel's time is nobody's business.
        journal.add(notes=(*journal.evidence.notes, "The candidate failed its checks, so it was not timed."))
        complete(journal)
        return
    observe_ceilings(journal, console)
    chosen = secrets.randbelow(max(len(plan.contests), 1))
    for number, contest in enumerate(plan.contests):
        again = partial(_look_again, plan, journal) if number == chosen else None
        reserved_s = _AFTERWARDS_S + (look_s if number <= chosen else 0.0)
        left_s = plan.profile.limit_s - reserved_s - (time.monotonic() - began_s)
        limit_s = max(left_s, 0.0) / (len(plan.contests) - number)
        observe_contest(contest, plan, journal, console, again, limit_s=limit_s)
    observe_ceilings_again(journal, console)
    observe_figures(plan, journal, console)
    complete(journal)


def _look_again(plan: RunPlan, journal: Journal) -> None:
    """Looks at the gates a second time, between two timed processes; what fails now has failed.

    A kernel can keep a count of its processes on disk, and be honest until those that are looked at must be over.
    """
    # The timed processes have the display.
    found = {gate.gate: gate for gate in observe_gates(_subject(plan), Console(quiet=True))}
    before = journal.evidence.gates
    journal.add(gates=tuple(found[one.gate] if _fails(found.get(one.gate)) else one for one in before))


def _fails(gate: Gate | None) -> bool:
    return gate is not None and gate.outcome is Outcome.FAILED


def _subject(plan: RunPlan) -> Subject:
    """The candidate; a kernel that was brought is for the layer that is measured first."""
    subject = Subject(implementation=plan.candidate, threads=plan.threads, kernel=plan.kernel)
    if subject.ours or not plan.contests:
        return subject
    layer = plan.contests[0].workload.layer
    return replace(subject, base=LayerVariant.from_config(layer), dtype=layer.dtype)


def _begun(plan: RunPlan, path: Path, *, resume: bool) -> Evidence:
    """The evidence of a run that begins, or with `resume` of the one that was cut off."""
    implementations = implementation_records(plan)
    fresh = Evidence(
        run_id=run_id(SEED),
        recorded_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        profile=plan.profile.name,
        device=plan.device,
        seed=SEED,
        pairs_planned=plan.profile.pairs,
        status=Status.PARTIAL,
        suite=suite_info(),
        environment=collect_environment(plan.threads),
        workloads=tuple(workload_record(one) for one in plan.named),
        implementations=implementations,
        planted=planted_count(),
        left_out=plan.left_out,
        notes=plan.notes,
    )
    if not resume:
        return fresh
    if not path.exists():
        raise UsageError(f"--resume goes on from {path}, and there is no such file. Run without --resume.")
    earlier = load(path)
    for what in ("profile", "device", "seed", "implementations", "workloads"):
        if getattr(earlier, what) != getattr(fresh, what):
            raise UsageError(
                f"--resume needs the run it goes on from to be the same; {what} differs in {path}. "
                "Repeat that run's options and sources, or run without --resume."
            )
    if earlier.environment.fingerprint != fresh.environment.fingerprint:
        raise UsageError(
            f"--resume needs the same machine; {path} was recorded on {earlier.environment.machine} "
            f"({earlier.environment.fingerprint[:8]}), this is {fresh.environment.machine} "
            f"({fresh.environment.fingerprint[:8]}). Run without --resume."
        )
    return earlier.model_copy(update={"status": Status.PARTIAL})
