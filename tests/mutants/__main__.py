"""`python -m tests.mutants [WORD]`: builds every mutant, runs the suite on it, prints the score.

With WORD only those whose file and name (`amx: last product left out`) hold it.

A mutant is killed when some case fails, its process dies or hangs, or it writes where it must not. It survives when all
cases pass. Takes about 15 minutes on 2 cores: 10 s to build each, and to kill it mostly one case.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.mutants.catalogue import MUTANTS, Mutant
from validation.correctness.case import Case, Outcome
from validation.correctness.runner import in_worker
from validation.correctness.spec import ALL_VARIANTS
from validation.correctness.suite import Candidate, CaseSpec, check, plan_cases
from validation.cpu import read_cpu
from validation.implementations.failure import ImplementationFailed
from validation.implementations.limits import Limits
from validation.implementations.menu import MOJO
from validation.implementations.mojo_build import SOURCES, BuildFailure, build_kernel
from validation.implementations.process import Worker

#: More than one pass over the tokens takes.
_MANY_TOKENS = 100_000

#: A mutant that loops for ever is killed by the clock.
_LIMITS = Limits(seconds=30.0, memory_bytes=4 << 30)


def mutated(mutant: Mutant, folder: Path) -> Path:
    """Returns a copy of the sources in `folder` with the mutant's change made."""
    sources = folder / "kernels"
    shutil.copytree(SOURCES, sources)
    file = sources / mutant.file
    parts = file.read_text().split(mutant.old)
    if len(parts) < mutant.occurrence + 2:
        raise SystemExit(
            f"{mutant.name}: {mutant.file} must hold {mutant.old!r}; the source has changed, so mend the catalogue"
        )
    cut = mutant.occurrence + 1
    file.write_text(mutant.old.join(parts[:cut]) + mutant.new + mutant.old.join(parts[cut:]))
    return sources


def planned() -> Iterator[CaseSpec]:
    """The cases in the order that kills soonest: plain ones of every dtype, every variant, then the large ones."""
    for dtype in ("float32", "bfloat16", "float16"):
        yield from plan_cases("smoke", dtype, variants=ALL_VARIANTS)
    yield from (spec for spec in plan_cases("full", "float32") if spec.workload.tokens > _MANY_TOKENS)
    yield from plan_cases("standard", "float32", variants=ALL_VARIANTS)


def first_failure(library: Path) -> Case | str | None:
    """Returns the case that kills the mutant, or how its process ended, or None."""
    environment = (*MOJO.environment, ("MOE_KERNEL_LIBRARY", str(library)))
    kernel = replace(MOJO, environment=environment)
    candidate = Candidate(name=kernel.name, lowest_id_wins=True, strict=True)
    with Worker(threads=2, environment=environment, limits=_LIMITS) as worker:
        try:
            worker.load(kernel)
        except ImplementationFailed as failure:
            return str(failure)
        run = in_worker(worker)
        for spec in planned():
            case = check(spec, run, candidate)
            if case.outcome is Outcome.FAILED:
                return case
    return None


def main(word: str) -> int:
    """Prints a line for each mutant and the score; 1 when one survives that is not known to be equivalent."""
    present = {"", *read_cpu().features}
    named = [mutant for mutant in MUTANTS if word in f"{Path(mutant.file).stem}: {mutant.name}"]
    chosen = [mutant for mutant in named if mutant.cpu in present]
    if len(chosen) < len(named):
        lacking = ", ".join(sorted({mutant.cpu for mutant in named} - present))
        sys.stdout.write(f"{len(named) - len(chosen)} mutants need a CPU with {lacking}: left out.\n")
    survivors, killed, equivalent = [], 0, 0
    for number, mutant in enumerate(chosen, start=1):
        with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
            built = build_kernel(sources=mutated(mutant, Path(folder)), cache=Path(folder) / "build")
            if isinstance(built, BuildFailure):
                sys.stdout.write(f"{built}\n")
                raise SystemExit(f"{mutant.name} must compile; mend the catalogue")
            found = first_failure(built.library)
        if found is None:
            line = f"survived: {mutant.equivalent or 'NOT EXPLAINED'}"
            equivalent += bool(mutant.equivalent)
            survivors += [] if mutant.equivalent else [mutant]
        else:
            killed += 1
            line = f"killed by {found.id}: {found.message[:90]}" if isinstance(found, Case) else f"killed: {found}"
        sys.stdout.write(f"{number:3} of {len(chosen)}  {Path(mutant.file).stem}: {mutant.name}: {line}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{killed} of {len(chosen) - equivalent} mutants killed; {equivalent} more are equivalent.\n")
    for mutant in survivors:
        sys.stdout.write(f"survivor: {mutant.file}: {mutant.old!r} -> {mutant.new!r}\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
