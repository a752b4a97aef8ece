"""What a report is made of: the exact bytes of its sources beside what they say."""

import hashlib
from dataclasses import dataclass, replace

from validation.claims.load import ClaimsFile
from validation.evidence.record import Evidence
from validation.verdicts.store import dump
from validation.verdicts.verdict import Verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """One machine's evidence as it was stored."""

    data: bytes
    evidence: Evidence

    @property
    def sha256(self) -> str:
        """Digest of the bytes, as printed in the report."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsSource:
    """One claims file: the bytes that are attached, and what they say."""

    data: bytes
    file: ClaimsFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything a report says follows from this, and from nothing else."""

    evidence: tuple[EvidenceFile, ...]
    claims: tuple[ClaimsSource, ...]
    verdicts: Verdicts

    @property
    def verdicts_data(self) -> bytes:
        """verdicts.json as it is written and attached."""
        return dump(self.verdicts)

    @property
    def evidence_sha256(self) -> str:
        """The one digest in every page's footer.

        One evidence file: its own. Several: the digest of their hexadecimal digests, one a line, in order.
        """
        if len(self.evidence) == 1:
            return self.evidence[0].sha256
        return hashlib.sha256("".join(f"{file.sha256}\n" for file in self.evidence).encode()).hexdigest()

    @property
    def run_id(self) -> str:
        """The run, or the runs, that were judged."""
        return " + ".join(file.evidence.run_id for file in self.evidence)

    @property
    def recorded_at(self) -> str:
        """When the last of the runs was recorded: the date of the report."""
        return max(file.evidence.recorded_at for file in self.evidence)


def in_order(material: Material) -> Material:
    """Returns the material with its evidence in the order of the verdicts, each file once."""
    files = {file.sha256: file for file in material.evidence}
    return replace(material, evidence=tuple(files[reference.sha256] for reference in material.verdicts.evidence))
