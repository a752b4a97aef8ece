"""`demo`: the whole path on one shape in under two minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.stages.plan import RunRequest
from validation.stages.run import run_validation

if TYPE_CHECKING:
    from pathlib import Path


def demonstrate(out: Path) -> bool:
    """Builds the Mojo kernel, checks it, times what profile smoke does (the published shape, float32), and reports."""
    return run_validation(
        RunRequest(
            profile="smoke",
            kernel=None,
            claims=(),
            device="cpu",
            workloads=(),
            out=out,
            resume=False,
            timed_as="demo-s",
        )
    )
