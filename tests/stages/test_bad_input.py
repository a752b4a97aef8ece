"""Every kind of bad input ends with 2 and one message that names the thing, the rule and the value."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests import synthetic
from validation.cli import main
from validation.evidence.store import dump

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """schema_version = 1
[[claims]]
id = "fast"
title = "Fast"
quote = "fast"
source = "README.md:1"
provenance = "measured"
provenance_reason = "a script"
[[claims.readings]]
id = "cpu"
strict = true
meaning = "same CPU"
metric = "speedup"
requirement = { at_least = 2 }
workload = "seed-claim"
device = "cpu"
baseline = "numpy_grouped"
"""
SECOND = GOOD.partition("\n")[2]
READING = GOOD[GOOD.index("[[claims.readings]]") :]
EVIDENCE = synthetic.evidence(times_us={"seed-claim": {synthetic.CANDIDATE: 10_000.0, "numpy_grouped": 14_000.0}})


class Command:
    """The command line in this process: its code and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str]:
        self.monkeypatch.setattr(sys, "argv", ["moe-validation", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        code = stopped.value.code
        told = self.capsys.readouterr()
        return code if isinstance(code, int) else 0, " ".join((told.err + told.out).split())


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.json"
    path.write_bytes(dump(EVIDENCE))
    return path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(GOOD.replace(READING, ""), ("fast", "readings"), id="no reading"),
        pytest.param(GOOD.replace("at_least = 2", "at_least = -2"), ("fast", "at_least", "-2"), id="negative"),
        pytest.param(GOOD.replace("at_least = 2", "at_least = 0"), ("fast", "at_least", "0"), id="zero"),
        pytest.param(GOOD.replace("at_least = 2", "at_least = nan"), ("fast", "at_least", "nan"), id="NaN"),
        pytest.param(GOOD.replace("at_least = 2", "at_least = inf"), ("fast", "at_least", "inf"), id="infinite"),
        pytest.param(GOOD.replace("numpy_grouped", "numpy_groupd"), ("numpy_groupd", "numpy_grouped"), id="baseline"),
        pytest.param(GOOD.replace("seed-claim", "seed-clam"), ("seed-clam", "seed-claim"), id="workload"),
        pytest.param(GOOD + SECOND, ("fast", "id"), id="duplicate claim"),
        pytest.param(GOOD + READING, ("fast", "cpu", "differ"), id="duplicate reading"),
        pytest.param(GOOD.replace("strict = true\n", ""), ("fast", "strict", "none"), id="no strict reading"),
        pytest.param(
            GOOD.replace("schema_version = 1", "schema_version = 9"), ("schema_version", "9", "1"), id="schema"
        ),
        pytest.param(GOOD.replace('id = "cpu"', 'id = "cpu'), ("TOML", "line"), id="no TOML"),
    ],
)
@pytest.mark.parametrize("stage", ["judge", "run"])
def test_a_mistake_in_a_claims_file_ends_with_2(  # noqa: PLR0913, PLR0917 -- two parameters, three fixtures
    command: Command, evidence: Path, tmp_path: Path, stage: str, text: str, named: tuple[str, ...]
) -> None:
    claims = tmp_path / "mine.toml"
    claims.write_text(text)
    files = (str(evidence),) if stage == "judge" else ()
    code, told = command(stage, *files, "--claims", str(claims), "--out", str(tmp_path / "out"))
    assert code == 2, told
    assert all(word in told for word in ("mine.toml", *named)), told
    assert "Traceback" not in told
    # Refused before anything was written.
    assert not (tmp_path / "out").exists()


def test_evidence_of_two_machines_under_one_name_ends_with_2(command: Command, evidence: Path, tmp_path: Path) -> None:
    other = EVIDENCE.environment.model_copy(update={"fingerprint": "f" * 64})
    second = tmp_path / "second.json"
    second.write_bytes(dump(EVIDENCE.model_copy(update={"environment": other})))
    code, told = command("judge", str(evidence), str(second), "--out", str(tmp_path / "out"))
    assert code == 2, told
    assert EVIDENCE.environment.machine in told
    assert "one name must be one machine" in told


def test_evidence_of_another_schema_version_ends_with_2(command: Command, evidence: Path, tmp_path: Path) -> None:
    text = evidence.read_text()
    changed = re.sub(r'"schema_version": ?\d+\b', '"schema_version": 99', text)
    assert changed != text
    evidence.write_text(changed)
    code, told = command("judge", str(evidence), "--out", str(tmp_path / "out"))
    assert code == 2, told
    assert all(word in told for word in ("evidence.json", "schema_version", "99")), told


def test_the_same_evidence_gives_the_same_verdicts_to_the_byte(
    command: Command, evidence: Path, tmp_path: Path
) -> None:
    found = []
    for folder in ("one", "two"):
        command("judge", str(evidence), "--out", str(tmp_path / folder))
        found.append((tmp_path / folder / "verdicts.json").read_bytes())
    assert found[0] == found[1]


def test_two_runs_that_differ_by_noise_give_the_same_verdicts(command: Command, tmp_path: Path) -> None:
    """An hour apart: other samples of the same machine, drawn anew."""
    verdicts = []
    for seed in (1, 2):
        times = {"seed-claim": {synthetic.CANDIDATE: 9_600.0, "numpy_grouped": 14_000.0, "torch_dense": 30_000.0}}
        path = tmp_path / f"{seed}.json"
        path.write_bytes(dump(synthetic.evidence(times_us=times, seed=seed)))
        out = tmp_path / f"out{seed}"
        command("judge", str(path), "--out", str(out))
        lines = (out / "verdicts.json").read_text().splitlines()
        verdicts.append([line for line in lines if '"verdict"' in line or '"reason"' in line])
    assert verdicts[0]
    assert verdicts[0] == verdicts[1]
