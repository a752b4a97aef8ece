import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from tests.synthetic import SUITE
from validation.evidence.store import parse
from validation.report import verify as verifying
from validation.report.mark import MARKS
from validation.report.material import EvidenceFile, Material
from validation.report.printed import footers
from validation.report.verify import Outcome, verify
from validation.usage import UsageError
from validation.verdicts.judge import judge
from validation.verdicts.store import dump
from validation.verdicts.verdict import Verdict

Change = Callable[[bytes], bytes]


def forge(path: Path, **changes: Change) -> None:
    """Replaces attachments by what the functions make of them; `evidence` stands for evidence.json."""
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        for stem, change in changes.items():
            stream = pdf.attachments[f"{stem}.json"].obj.EF.F
            stream.write(change(stream.read_bytes()))
        pdf.save(path)


def one_digit(data: bytes) -> bytes:
    """Changes the first digit of the first timed call."""
    found = re.search(rb'"calls_ns":\s*\[\s*(\d)', data)
    assert found
    at = found.start(1)
    return data[:at] + (b"1" if data[at : at + 1] != b"1" else b"2") + data[at + 1 :]


def faster(data: bytes) -> bytes:
    """Halves every time of the candidate: a forger's evidence, valid in itself."""
    document = json.loads(data)
    for process in document["processes"]:
        for series in process["series"]:
            if series["implementation"] == "mojo":
                for block in series["blocks"]:
                    block["calls_ns"] = [ns // 2 for ns in block["calls_ns"]]
    return json.dumps(document).encode()


def in_verdicts(change: Callable[[dict[str, Any]], None]) -> Change:
    def changed(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return changed


def test_a_report_is_verified(report: Path) -> None:
    found = verify(report / "report.pdf")
    assert found.outcome is Outcome.VERIFIED
    assert found.differences == ()


def test_one_digit_of_the_evidence_is_noticed(pdf: Path) -> None:
    forge(pdf, evidence=one_digit)
    found = verify(pdf)
    assert found.outcome is Outcome.REJECTED
    assert "sha256" in found.differences[0]


def test_a_forger_who_fixes_the_digest_is_noticed(pdf: Path) -> None:
    with pikepdf.open(pdf) as opened:
        digest = hashlib.sha256(faster(opened.attachments["evidence.json"].get_file().read_bytes())).hexdigest()

    def fix(document: dict[str, Any]) -> None:
        document["evidence"][0]["sha256"] = digest

    forge(pdf, evidence=faster, verdicts=in_verdicts(fix))
    found = verify(pdf)
    assert found.outcome is Outcome.REJECTED
    assert any("the evidence gives" in line for line in found.differences)


def test_a_forger_who_judges_again_is_betrayed_by_the_printed_pages(pdf: Path, little_made: Material) -> None:
    made = little_made
    data = faster(made.evidence[0].data)
    verdicts = judge(
        tuple(s.file for s in made.claims), (EvidenceFile(data=data, evidence=parse(data, "x")),), made.verdicts.suite
    )
    fixed = dump(verdicts)
    forge(pdf, evidence=lambda _: data, verdicts=lambda _: fixed)
    found = verify(pdf)
    assert found.outcome is Outcome.REJECTED
    assert found.differences


def test_a_changed_verdict_is_named(pdf: Path) -> None:
    def praise(document: dict[str, Any]) -> None:
        document["findings"][0]["verdict"] = "confirmed"

    forge(pdf, verdicts=in_verdicts(praise))
    found = verify(pdf)
    assert found.outcome is Outcome.REJECTED
    assert any("verdicts.json says verdict = confirmed" in line for line in found.differences)


def reworded(document: dict[str, Any]) -> None:
    document["findings"][0]["explanation"] = "Believe it."


def test_an_explanation_in_other_words_by_another_commit_is_told_apart_from_forgery(pdf: Path) -> None:
    forge(pdf, verdicts=in_verdicts(reworded))
    found = verify(pdf)
    assert found.outcome is Outcome.OTHER_VERSION
    assert "Believe it." in found.remarks[0]


def test_an_explanation_that_this_commit_would_not_write_is_forged(pdf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "suite_info", lambda: SUITE)
    forge(pdf, verdicts=in_verdicts(reworded))
    assert verify(pdf).outcome is Outcome.REJECTED


def test_a_changed_word_in_print_is_noticed(pdf: Path) -> None:
    with pikepdf.open(pdf, allow_overwriting_input=True) as opened:
        del opened.pages[1]
        opened.save(pdf)
    found = verify(pdf)
    assert found.outcome is Outcome.REJECTED
    assert any("pages" in line for line in found.differences)


def test_older_rules_are_told_apart_from_forgery(pdf: Path) -> None:
    def older(document: dict[str, Any]) -> None:
        document["rules_version"] += 1

    forge(pdf, verdicts=in_verdicts(older))
    found = verify(pdf)
    assert found.outcome is Outcome.OTHER_VERSION
    assert "rules version" in found.remarks[0]


def test_an_older_schema_is_told_apart_from_forgery(pdf: Path) -> None:
    def older(document: dict[str, Any]) -> None:
        document["schema_version"] = 0

    forge(pdf, verdicts=in_verdicts(older))
    assert verify(pdf).outcome is Outcome.OTHER_VERSION


def test_a_file_that_is_no_pdf_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_text("hello")
    with pytest.raises(UsageError, match="must be a PDF"):
        verify(tmp_path / "x.pdf")


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="readable report"):
        verify(tmp_path / "none.pdf")


def test_a_pdf_without_evidence_is_the_users_mistake(tmp_path: Path) -> None:
    with pikepdf.new() as blank:
        blank.add_blank_page()
        blank.save(tmp_path / "blank.pdf")
    with pytest.raises(UsageError, match="must embed evidence"):
        verify(tmp_path / "blank.pdf")


def test_a_truncated_report_is_the_users_mistake(pdf: Path) -> None:
    pdf.write_bytes(pdf.read_bytes()[:2000])
    with pytest.raises(UsageError, match=r"undamaged|embed"):
        verify(pdf)


def test_an_attachment_that_unpacks_without_end_is_refused(pdf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validation.report.embedded.MAX_ATTACHMENT_BYTES", 1000)
    with pytest.raises(UsageError, match="must unpack to at most"):
        verify(pdf)


def test_deeply_nested_evidence_is_rejected_without_a_crash(pdf: Path) -> None:
    forge(pdf, evidence=lambda _: b"[" * 200_000)
    assert verify(pdf).outcome is Outcome.REJECTED


def test_verifying_needs_no_torch() -> None:
    code = "import sys; import validation.report.verify; sys.exit('torch' in sys.modules or 'mojo' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert verifying.verify is verify


def test_a_report_of_another_layout_is_compared_by_its_table_and_its_digest(
    pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pikepdf.open(pdf, allow_overwriting_input=True) as opened:
        opened.docinfo["/Keywords"] = "layout 0123456789abcdef, weasyprint 99.0"
        opened.save(pdf)
    monkeypatch.setitem(MARKS, Verdict.NOT_TESTED, replace(MARKS[Verdict.NOT_TESTED], meaning="Other words."))
    found = verify(pdf)
    assert found.outcome is Outcome.VERIFIED, found.differences
    assert "another version" in found.remarks[0]


def test_every_footer_is_read(made: Material, report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as opened:
        found = footers(opened)
    assert found
    assert all(made.evidence_sha256 in text and f"Page{number}of" in text for number, text in enumerate(found, 1))


def test_words_that_stand_in_no_element_are_noticed(pdf: Path) -> None:
    with pikepdf.open(pdf, allow_overwriting_input=True) as opened:
        page = opened.pages[0]
        font = next(iter(page.resources.Font.keys()))
        page.contents_add(f"BT {font} 20 Tf 100 400 Td <00030004> Tj ET".encode())
        opened.save(pdf)
    found = verify(pdf)
    assert found.outcome is Outcome.REJECTED
    assert any("header or footer prints" in line for line in found.differences)


def test_a_table_in_other_words_by_another_version_is_told_apart_from_forgery(
    pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pikepdf.open(pdf, allow_overwriting_input=True) as opened:
        opened.docinfo["/Keywords"] = "layout 0123456789abcdef, weasyprint 99.0"
        opened.save(pdf)
    monkeypatch.setitem(MARKS, Verdict.IMPOSSIBLE, replace(MARKS[Verdict.IMPOSSIBLE], word="out of reach"))
    found = verify(pdf)
    assert found.outcome is Outcome.OTHER_VERSION
    assert any("commit 0123456789ab" in line for line in found.remarks)
