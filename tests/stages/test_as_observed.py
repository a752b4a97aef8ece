"""Verdicts are of what the run observed, and of no file that was changed while it was written."""

from pathlib import Path

import pytest

from tests import synthetic
from validation.stages.observe import Journal
from validation.stages.run import _as_observed
from validation.usage import UsageError


def test_evidence_that_somebody_else_changed_has_no_verdict(tmp_path: Path) -> None:
    journal = Journal(evidence=synthetic.evidence(), path=tmp_path / "evidence.json")
    journal.add(notes=("one",))
    assert _as_observed(journal).evidence == journal.evidence
    faster = synthetic.with_blocks(
        journal.evidence, lambda _process, block: block.model_copy(update={"parent_ns": block.parent_ns // 2})
    )
    Journal(evidence=faster, path=journal.path).add()
    with pytest.raises(UsageError, match="must hold what this run observed"):
        _as_observed(journal)
