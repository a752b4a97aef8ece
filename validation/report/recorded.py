"""Where each machine's evidence is from: this run, or a record of another one."""

from dataclasses import dataclass

from validation.report.material import EvidenceFile, Material
from validation.report.words import day, machine_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One evidence file: the letter it is called by, its hardware in words, and where it is from."""

    letter: str
    name: str
    machine: str
    label: str
    sha256: str
    here: bool


def sources(material: Material) -> tuple[Source, ...]:
    """Returns the evidence files in order, lettered A, B, ...

    "This run" is the newest run that the judging suite itself recorded; whatever another commit observed, or an
    earlier run, is a record, named by its date, its commit and its digest.
    """
    here = _this_run(material)
    return tuple(
        Source(
            letter=_letter(index),
            name=machine_name(file.evidence),
            machine=file.evidence.environment.machine,
            label="measured in this run" if file is here else _record(file),
            sha256=file.sha256,
            here=file is here,
        )
        for index, file in enumerate(material.evidence)
    )


def _this_run(material: Material) -> EvidenceFile | None:
    own = [file for file in material.evidence if file.evidence.suite == material.verdicts.suite]
    return max(own, key=lambda file: file.evidence.recorded_at, default=None)


def _record(file: EvidenceFile) -> str:
    suite = file.evidence.suite
    at = suite.commit[:12] + (" with uncommitted changes" if suite.dirty else "")
    return f"recorded on {day(file.evidence.recorded_at)} at commit {at}, sha256 {file.sha256[:16]}"


def _letter(index: int) -> str:
    """A to Z, then AA, AB, ..."""
    text = ""
    while index >= 0:
        text = chr(ord("A") + index % 26) + text
        index = index // 26 - 1
    return text
