"""What was recorded on other machines is whole, and becomes verdicts on this one."""

import re
from pathlib import Path
from typing import Final

import pytest

from validation.claims.load import OWN_CLAIMS, SEED_CLAIMS, load_claims
from validation.evidence.store import parse, read_bytes, sha256
from validation.evidence.suite import suite_info
from validation.report.material import EvidenceFile
from validation.verdicts.judge import judge
from validation.verdicts.verdict import Verdict

RECORDS: Final = Path(__file__).parents[2] / "records"
SUMS: Final = {
    name: total for total, name in (line.split() for line in (RECORDS / "SHA256SUMS").read_text().splitlines())
}


def recorded(name: str) -> EvidenceFile:
    data = read_bytes(RECORDS / name)
    return EvidenceFile(data=data, evidence=parse(data, name))


def test_every_record_that_the_docs_rest_on_is_kept() -> None:
    named = {
        name
        for page in (RECORDS.parent / "docs").glob("*.md")
        for name in re.findall(r"`(?:records/)?((?:h[12]00|xeon)_[\w*]+\.(?:json|txt)(?:\.gz)?)`", page.read_text())
    }
    assert len(named) > 5
    assert {name for name in named if not list(RECORDS.glob(name))} == set()


def test_every_evidence_file_has_its_sum() -> None:
    assert {path.name for path in RECORDS.glob("*.gz")} == set(SUMS)


@pytest.mark.parametrize("name", sorted(SUMS))
def test_a_record_is_what_it_was(name: str) -> None:
    assert sha256(read_bytes(RECORDS / name)) == SUMS[name]


@pytest.mark.parametrize("name", sorted(SUMS))
def test_a_record_becomes_verdicts_about_its_device(name: str) -> None:
    claims, record = [load_claims(path) for path in (SEED_CLAIMS, OWN_CLAIMS)], recorded(name)
    found = [one for one in judge(claims, [record], suite_info()).findings if one.device == record.evidence.device]
    decided = {one.verdict for one in found} - {Verdict.NOT_TESTED, Verdict.INCONCLUSIVE}
    assert decided
    assert Verdict.INVALID not in decided
    assert Verdict.HARNESS_FAULT not in decided


@pytest.mark.parametrize("name", sorted(name for name in SUMS if name.startswith("h200")))
def test_a_record_of_a_gpu_says_in_what_state_it_was_beside_every_block(name: str) -> None:
    series = [one for process in recorded(name).evidence.processes for one in process.series if one.device == "cuda"]
    states = [state for one in series for block in one.blocks for state in (block.gpu_before, block.gpu_after)]
    assert states
    assert all(state is not None and state.sm_mhz > 0 for state in states)
