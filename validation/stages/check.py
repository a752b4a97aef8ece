"""`check`: is the kernel right and honest?"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from validation.correctness.case import Outcome
from validation.correctness.integrity.inspect import GATES, inspect
from validation.correctness.runner import in_worker
from validation.correctness.spec import PLAIN
from validation.correctness.suite import ALL_VARIANTS, Candidate, check, find_case, plan_cases
from validation.implementations.failure import ImplementationFailed, WorkerEnded
from validation.implementations.process import Limits, Worker
from validation.stages.acceptance import reject
from validation.stages.console import step
from validation.stages.selection import chosen_candidate, chosen_device, thread_count
from validation.usage import UsageError
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import torch

    from validation.correctness.attempt import Run
    from validation.correctness.case import Case, Gate
    from validation.correctness.plan import Profile
    from validation.correctness.suite import CaseSpec
    from validation.implementations.implementation import Implementation
    from validation.workloads.layer import Layer

#: A case is 0.2 GFLOP at most: half a minute is a hang even for plain Python.
_LIMITS: Final = Limits(seconds=30.0, memory_bytes=4 << 30)

#: A kernel that took so many processes along is not given another; the cases left would each wait out the limit.
_MOST_DEATHS: Final = 3

#: The shape of the published claims: a call of some ms, in which hidden work would show.
_GATE_WORKLOAD: Final = "seed-claim"

SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What the command line asked for; `cases` are ids of single cases, all of the profile's without any."""

    profile: Profile
    kernel: str | None
    device: str
    cases: tuple[str, ...]
    as_json: bool


def check_kernel(request: CheckRequest) -> bool:
    """Prints what was checked and how it came out; False when the candidate is wrong.

    Raises:
        UsageError: no such kernel or case, or a kernel that cannot be loaded.
    """
    chosen_device(request.device)
    single = tuple(find_case(one) for one in request.cases)
    candidate, _built = chosen_candidate(request.kernel)
    # With --json the table's place on stdout is taken: progress goes to stderr.
    console = Console(stderr=request.as_json)
    specs = single or planned(candidate, request.profile)
    cases = observe_cases(candidate, specs, thread_count(), request.kernel, console)
    # A single case is re-run to look at it, and a kernel that is wrong need not be asked whether it is honest.
    gates = () if single or _failed(cases) else observe_gates(candidate, thread_count(), console)
    if request.as_json:
        document = {
            "candidate": candidate.name,
            "cases": [case.model_dump(mode="json") for case in cases],
            "gates": [gate.model_dump(mode="json") for gate in gates],
        }
        typer.echo(json.dumps(document, indent=1))
        return not _failed(cases) and not _closed(gates)
    print_cases(cases, console)
    print_gates(gates, console)
    wrong = (f"{case.id}: {case.message}\n    re-run: {case.repro}" for case in _failed(cases))
    return reject((*wrong, *(f"{gate.gate}: {gate.message}" for gate in _closed(gates))), console)


def planned(candidate: Implementation, profile: Profile, dtypes: Sequence[str] | None = None) -> tuple[CaseSpec, ...]:
    """Returns the profile's cases: of the published layer for a kernel that was brought, of every variant for ours.

    Somebody's kernel for the published layer is not wrong for having no SwiGLU. Ours says that it has all of it.
    """
    ours = candidate.family == "mojo"
    variants = ALL_VARIANTS if ours and profile != "smoke" else (PLAIN,)
    chosen = dtypes or (sorted(candidate.dtypes) if ours and profile != "smoke" else ["float32"])
    return tuple(spec for dtype in chosen for spec in plan_cases(profile, dtype, SEED, variants))


def observe_cases(
    candidate: Implementation, specs: Sequence[CaseSpec], threads: int, kernel: str | None, console: Console
) -> tuple[Case, ...]:
    """Returns every case as the candidate, in a process of its own, answered it.

    Raises:
        UsageError: the kernel's file cannot be loaded.
    """
    repro = "moe-validation check" + (f" --kernel {kernel}" if kernel else "")
    judged = Candidate(name=candidate.name, lowest_id_wins=candidate.family == "mojo", repro=repro)
    cases: list[Case] = []
    with _Candidate(candidate, threads) as running, step(console, "correctness cases", len(specs)) as shown:
        running.load()
        for spec in specs:
            cases.append(check(spec, running, judged))
            shown.note(spec.id)
            shown.advance()
            if running.deaths >= _MOST_DEATHS:
                console.print(f"  {candidate.name} took {running.deaths} processes along; the cases left are not run")
                break
    return tuple(cases)


def observe_gates(candidate: Implementation, threads: int, console: Console) -> tuple[Gate, ...]:
    """Returns every integrity gate as the candidate passed it, in one scripted run on the published shape."""
    with step(console, "integrity gates", len(GATES)) as shown:
        gates = inspect(candidate, find_workload(_GATE_WORKLOAD), threads=threads, limits=_LIMITS)
        shown.done = len(gates)
    return gates


class _Candidate:
    """Runs the candidate in a worker, and in a new one after it took the last along."""

    def __init__(self, implementation: Implementation, threads: int) -> None:
        self._implementation = implementation
        self._threads = threads
        self._worker: Worker | None = None
        self._run: Run | None = None
        self.deaths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def load(self) -> None:
        try:
            self._open()
        except ImplementationFailed as failure:
            raise UsageError(
                f"the kernel {self._implementation.source.name} must load and define "
                f"{self._implementation.function}(layer); {failure}"
            ) from None

    def __call__(self, layer: Layer, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        run = self._run or self._open()
        try:
            return run(layer, x)
        except WorkerEnded:
            self.deaths += 1
            self._close()
            raise

    def _open(self) -> Run:
        self._worker = Worker(threads=self._threads, environment=self._implementation.environment, limits=_LIMITS)
        self._worker.load(self._implementation)
        self._run = in_worker(self._worker)
        return self._run

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = self._run = None


def print_cases(cases: Sequence[Case], console: Console) -> None:
    """Prints a line for each check: how many cases, how they came out, the worst error over its bound."""
    table = Table("check", "cases", "outcome", "worst error/bound", box=None, pad_edge=False)
    for name in dict.fromkeys(case.check for case in cases):
        of = [case for case in cases if case.check == name]
        counts = Counter(case.outcome for case in of)
        failed = counts[Outcome.FAILED]
        outcome = ", ".join(f"{number} {kind.value.replace('_', ' ')}" for kind, number in counts.items())
        worst = max((case.worst for case in of if case.worst is not None), default=None)
        table.add_row(
            name,
            str(len(of)),
            Text(outcome, style="red" if failed else ""),
            "" if worst is None else f"{worst:.3g}",
        )
    console.print(table)
    console.print("The bound is derived from the arithmetic; 1 is the limit that no honest kernel exceeds.")

    if Outcome.MISTRUSTED in {case.outcome for case in cases}:
        console.print("mistrusted: a pass that proves nothing, since a kernel returning zeros would pass too.")


def print_gates(gates: Sequence[Gate], console: Console) -> None:
    """Prints a line for each gate."""
    if gates:
        table = Table("integrity gate", "outcome", box=None, pad_edge=False)
        for gate in gates:
            style = "red" if gate.outcome is Outcome.FAILED else ""
            table.add_row(gate.gate.replace("_", " "), Text(gate.outcome.value.replace("_", " "), style=style))
        console.print(table)


def _closed(gates: Sequence[Gate]) -> list[Gate]:
    return [gate for gate in gates if gate.outcome is Outcome.FAILED]


def _failed(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.outcome is Outcome.FAILED]
