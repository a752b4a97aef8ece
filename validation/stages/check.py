"""`check`: is the kernel right and honest?"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from validation.correctness.case import Outcome
from validation.correctness.spec import LayerVariant
from validation.correctness.suite import find_case
from validation.correctness.survey import Standing
from validation.stages.acceptance import reject
from validation.stages.examine import Examined, examine, observe_gates
from validation.stages.planted import planted_count
from validation.stages.selection import chosen_candidate, chosen_device, thread_count
from validation.stages.subject import Subject
from validation.stages.trained import observe_trained
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from validation.correctness.case import Case, Gate
    from validation.correctness.plan import Profile
    from validation.correctness.trials import PlantedCount
    from validation.stages.trained import Trained, TrainedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What the command line asked for; `cases` are ids of single cases, all of the profile's without any.

    `workload` names the layer the kernel is for, `require` the options it must deal with besides. With `trained` it is
    for that layer, and is asked cases on its weights too.
    """

    profile: Profile
    kernel: str | None
    device: str
    bundle: Path | None = None
    cases: tuple[str, ...]
    as_json: bool
    workload: str | None = None
    require: tuple[str, ...] = ()
    trained: Trained | None = None


def check_kernel(request: CheckRequest) -> bool:
    """Prints what was checked and how it came out; False when the candidate is wrong.

    Raises:
        UsageError: no such kernel, case, workload or option, or a kernel that cannot be loaded.
    """
    single = tuple(find_case(one) for one in request.cases)
    trained = None if request.trained is None else request.trained.load()
    subject = _subject(request, trained)
    # With --json the table's place on stdout is taken: progress goes to stderr.
    console = Console(stderr=request.as_json)
    examined = examine(subject, request.profile, console, single=single)
    subject = examined.subject
    if trained is not None and request.trained is not None:
        heard = list(examined.doings)
        asked = observe_trained(subject, trained, request.trained, heard, console)
        examined = replace(examined, cases=(*asked, *examined.cases), doings=tuple(heard))
    # A single case is re-run to look at it, and a kernel that is wrong need not be asked whether it is honest.
    gates = () if single or _failed(examined.cases) else observe_gates(subject, console, examined.doings)
    planted = planted_count()
    if request.as_json:
        document = {
            "candidate": subject.implementation.name,
            "checked": _layer_of(subject),
            "cases": [case.model_dump(mode="json") for case in examined.cases],
            "offers": [offer.model_dump(mode="json") for offer in examined.offers],
            "not_checked": examined.left_out,
            "planted": None if planted is None else planted.model_dump(mode="json"),
            "gates": [gate.model_dump(mode="json") for gate in gates],
        }
        typer.echo(json.dumps(document, indent=1))
        return not _failed(examined.cases) and not _closed(gates)
    _print(subject, examined, gates, console)
    print_planted(planted, console)
    wrong = (f"{case.id}: {case.message}\n    re-run: {case.repro}" for case in _failed(examined.cases))
    return reject((*wrong, *(f"{gate.gate}: {gate.message}" for gate in _closed(gates))), console)


def _subject(request: CheckRequest, trained: TrainedLayer | None) -> Subject:
    device = chosen_device(request.device, request.bundle)
    implementation, _built = chosen_candidate(request.kernel, device, bundle=request.bundle)
    subject = Subject(
        implementation=implementation,
        threads=thread_count(),
        kernel=request.kernel,
        require=request.require,
        any_dtype=request.workload is None and trained is None,
    )
    if device == "cuda" and request.kernel is None:
        subject = replace(subject, dtype="bfloat16")
    if request.workload is not None:
        layer = find_workload(request.workload).layer
        subject = replace(subject, base=LayerVariant.from_config(layer), dtype=layer.dtype)
    if trained is not None:
        config = trained.layer.config
        subject = replace(subject, base=LayerVariant.from_config(config), dtype=config.dtype)
    # Wrong names are told before any work begins.
    subject.required()
    return subject


def _print(subject: Subject, examined: Examined, gates: Sequence[Gate], console: Console) -> None:
    print_cases(examined.cases, console)
    if examined.offers:
        print_offers(subject, examined, console)
    print_gates(gates, console)


def print_cases(cases: Sequence[Case], console: Console) -> None:
    """Prints a line for each check: how many cases, how they came out, the worst error over its bound."""
    table = Table("check", "cases", "outcome", "worst error/bound", box=None, pad_edge=False)
    for name in dict.fromkeys(case.check for case in cases):
        of = [case for case in cases if case.check == name]
        counts = Counter(case.outcome for case in of)
        failed = counts[Outcome.FAILED]
        outcome = ", ".join(f"{number} {kind.value.replace('_', ' ')}" for kind, number in counts.items())
        worst = max((case for case in of if case.worst is not None), key=_worst, default=None)
        table.add_row(
            name,
            str(len(of)),
            Text(outcome, style="red" if failed else ""),
            "" if worst is None else f"{worst.worst:.3g}",
        )
    console.print(table)
    console.print("The bound is derived from the arithmetic; 1 is the limit that no honest kernel exceeds.")
    worst = max((case for case in cases if case.worst is not None), key=_worst, default=None)
    if worst is not None:
        console.print(f"Nearest to its bound: {worst.repro}", highlight=False, markup=False, soft_wrap=True)
    if Outcome.MISTRUSTED in {case.outcome for case in cases}:
        console.print("mistrusted: a pass that proves nothing, since a kernel returning zeros would pass too.")


def _worst(case: Case) -> float:
    return case.worst or 0.0


def print_offers(subject: Subject, examined: Examined, console: Console) -> None:
    """Prints what the kernel deals with beside the layer it is for, and what nobody may take for granted."""
    dealt = [offer.option for offer in examined.offers if offer.standing is Standing.OFFERED]
    console.print(f"Checked: {', '.join([_layer_of(subject), *dealt])}.", highlight=False, soft_wrap=True)
    if examined.left_out:
        console.print("Not checked, because the kernel does not deal with it (--require holds it to an option):")
        for line in examined.left_out:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def _layer_of(subject: Subject) -> str:
    return f"the {'gated ' if subject.base.gated else ''}{subject.base.activation} layer in {subject.dtype}"


def print_gates(gates: Sequence[Gate], console: Console) -> None:
    """Prints a line for each gate."""
    if gates:
        table = Table("integrity gate", "outcome", box=None, pad_edge=False)
        for gate in gates:
            style = "red" if gate.outcome is Outcome.FAILED else ""
            table.add_row(gate.gate.replace("_", " "), Text(gate.outcome.value.replace("_", " "), style=style))
        console.print(table)
    for gate in gates:
        if gate.outcome is Outcome.MISTRUSTED:
            said = f"mistrusted, so no evidence: {gate.gate.replace('_', ' ')}: {gate.message}"
            console.print(said, highlight=False, markup=False, soft_wrap=True)


def print_planted(planted: PlantedCount | None, console: Console) -> None:
    """Prints how many of the planted kernels were caught, and whether by these very sources."""
    lines = [] if planted is None else [f"Of the kernels planted to be caught: {planted.sentence}."]
    if planted is None or not planted.these_sources:
        lines.append("They were not tried with these very sources: `moe-validation planted` does.")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _closed(gates: Sequence[Gate]) -> list[Gate]:
    return [gate for gate in gates if gate.outcome is Outcome.FAILED]


def _failed(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.outcome is Outcome.FAILED]
