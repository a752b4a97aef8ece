"""`build`: compiles what a run on this CPU needs of Mojo, so that the run's own time goes into measuring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from validation.implementations.mojo_build import BuiltKernel
from validation.stages.plan import RunRequest, plan_run

if TYPE_CHECKING:
    from validation.correctness.plan import Profile


def build_for(profile: Profile) -> None:
    """Prints a line for each library of the kernel and of its ablations, and for the benchmark program.

    Raises:
        UsageError: there is no compiler, or it refused; the message holds its words.
    """
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Compiling what profile {profile} measures (up to a minute the first time).")
    plan = plan_run(
        RunRequest(profile=profile, kernel=None, claims=(), device="cpu", workloads=(), out=Path(), resume=False)
    )
    for name, built in plan.builds.items():
        if isinstance(built, BuiltKernel):
            console.print(f"{name:22}{'built' if built.fresh else 'found':7}{_shown(built.library)}", markup=False)
    if plan.official is not None:
        console.print(f"{'benchmark-official':29}{_shown(plan.official)}", markup=False)


def _shown(path: Path) -> str:
    """The path from here where it lies below, which is shorter."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
