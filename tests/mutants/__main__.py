"""`python -m tests.mutants [WORD]`: builds every mutant, runs the suite on it, prints the score.

With WORD only those whose file and name (`amx: last product left out`) hold it.

A mutant is killed when some case fails, its process dies or hangs, or it writes where it must not. It survives when all
cases pass. Takes about 15 minutes on 2 cores: 10 s to build each, and to kill it mostly one case. What became of each
is kept in build/mutants.json: of the same sources none is tried twice, and a run that is cut off goes on.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.fate import FATES, Fate, digest, kept
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


def tried(mutant: Mutant, library: Path) -> Fate:
    """Returns what became of a mutant that was built."""
    found = first_failure(library)
    if found is None:
        return Fate(mutant=_spelt(mutant), equivalent=mutant.equivalent)
    killed = f"{found.id}: {found.message[:90]}" if isinstance(found, Case) else found
    return Fate(mutant=_spelt(mutant), killed_by=killed)


def _spelt(mutant: Mutant) -> str:
    return f"{Path(mutant.file).stem}: {mutant.name}"


def _built(mutant: Mutant, folder: Path) -> Path:
    made = folder / _spelt(mutant).replace(" ", "_")
    built = build_kernel(sources=mutated(mutant, made), cache=made / "build")
    if isinstance(built, BuildFailure):
        raise SystemExit(f"{built}\n{mutant.name} must compile; mend the catalogue")
    return built.library


def main(word: str) -> int:
    """Prints a line for each mutant and the score; 1 when one survives that is not known to be equivalent."""
    present = {"", *read_cpu().features}
    named = [mutant for mutant in MUTANTS if word in _spelt(mutant)]
    chosen = [mutant for mutant in named if mutant.cpu in present]
    if len(chosen) < len(named):
        lacking = ", ".join(sorted({mutant.cpu for mutant in named} - present))
        sys.stdout.write(f"{len(named) - len(chosen)} mutants need a CPU with {lacking}: left out.\n")
    fates = kept(digest())
    left = [mutant for mutant in chosen if fates.of(_spelt(mutant)) is None]
    # The next one is built while this one is tried: a build takes one core, and most of the time.
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(max_workers=1) as builder:
        for mutant, library in zip(left, builder.map(lambda one: _built(one, Path(folder)), left), strict=True):
            fate = tried(mutant, library)
            fates = fates.told(fate)
            sys.stdout.write(f"{len(fates.fates):3} of {len(chosen)}  {fate.line}\n")
            sys.stdout.flush()
    names = {_spelt(mutant) for mutant in chosen}
    asked = fates.model_copy(update={"fates": tuple(one for one in fates.fates if one.mutant in names)})
    sys.stdout.write(f"{asked.sentence} All of them are in {FATES}.\n")
    for one in asked.unexplained:
        sys.stdout.write(f"{one.line}\n")
    return 1 if asked.unexplained else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
