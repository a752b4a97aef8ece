"""`demo`: the whole path on one shape in under two minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.stages.plan import RunRequest
from validation.stages.run import run_validation

if TYPE_CHECKING:
    from pathlib import Path


def demonstrate(out: Path) -> bool:
    """Builds the Mojo kernel, checks it, times it on the published shape with the smoke profile, and reports."""
    return run_validation(
        RunRequest(
            profile="smoke",
            kernel=None,
            claims=(),
            device="cpu",
            workloads=("seed-claim",),
            out=out,
            resume=False,
            timed_as="demo-s",
        )
    )
