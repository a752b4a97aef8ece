"""`bundle`: the GPU kernel as a folder that runs on a machine with a GPU and without Mojo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from validation.evidence.suite import suite_info
from validation.implementations.gpu_bundle import VARIABLE, build_bundle
from validation.stages.console import step

if TYPE_CHECKING:
    from pathlib import Path


def make_bundle(target: str, out: Path) -> None:
    """Compiles the kernel for `target` into `out` and says how to use it there.

    Raises:
        UsageError: it cannot be built here; the message says what is missing.
    """
    console = Console()
    suite = suite_info()
    commit = f"{suite.commit} with changes" if suite.dirty else suite.commit
    with step(console, f"GPU kernel compiled for {target}", 1) as shown:
        manifest = build_bundle(out, commit=commit, target=target)
        shown.advance()
    size = sum(file.stat().st_size for file in out.iterdir())
    for line in (
        f"Bundle: {out} ({size / 2**20:.1f} MiB, {len(manifest.files)} files, SHA-256 {manifest.sha256[:16]})",
        f"Compiler: {manifest.compiler}; commit {manifest.commit}",
        f"On a machine with a GPU: {VARIABLE}={out.resolve().name} moe-validation run --device cuda",
    ):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
