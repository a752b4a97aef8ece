"""The command line: a user's mistake is one message and exit code 2, never a traceback."""

import json
import sys
from pathlib import Path

import pytest

from validation.cli import main


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["moe-validation", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    code = stopped.value.code
    return code if isinstance(code, int) else 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "--workload", "seed-clam"), ("seed-clam", "seed-claim")),
        (("run", "--kernel", "no_such_file.py:prepare"), ("no_such_file.py",)),
        (("run", "--claims", "no_such_claims.toml"), ("no_such_claims.toml",)),
        (("run", "--device", "cuda"), ("cuda", "cpu")),
        (("run", "--workload", "deepseek-v3-t4096"), ("deepseek-v3-t4096", "GFLOP")),
        (("check", "--case", "randon:1x2x3-E1-k1"), ("randon", "random")),
        (("check", "--layer", "no_such.safetensors"), ("--prefix", "--config")),
        (("judge", "no_such_evidence.json"), ("no_such_evidence.json",)),
        (("report", "no_such_evidence.json"), ("no_such_evidence.json",)),
        (("verify", "no_such_report.pdf"), ("no_such_report.pdf",)),
        (("audit", "--claims", "no_such_claims.toml"), ("no_such_claims.toml",)),
    ],
)
def test_a_mistake_is_named_with_what_to_do_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    named: tuple[str, ...],
) -> None:
    assert call(monkeypatch, *arguments) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in named), told
    assert "Traceback" not in told


def test_an_unknown_command_suggests_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "workload") == 2
    assert "workloads" in capsys.readouterr().err


def test_a_truncated_evidence_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken = tmp_path / "evidence.json"
    broken.write_text('{"schema_version": 1, "run_id": "a')
    assert call(monkeypatch, "judge", str(broken), "--out", str(tmp_path)) == 2
    assert "evidence.json" in capsys.readouterr().err


def test_a_claims_file_with_a_speedup_over_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    claims = tmp_path / "mine.toml"
    claims.write_text(
        'schema_version = 1\n[[claims]]\nid = "fast"\ntitle = "fast"\nquote = "10x"\nsource = "mine:1"\n'
        'provenance = "measured"\nprovenance_reason = "I measured it"\n[[claims.readings]]\nid = "cpu"\nstrict = true\n'
        'meaning = "fast"\nmetric = "speedup"\nrequirement = { at_least = 10 }\nworkload = "seed-claim"\n'
        'device = "cpu"\n'
    )
    assert call(monkeypatch, "run", "--claims", str(claims)) == 2
    told = capsys.readouterr().err
    assert "mine.toml" in told
    assert "baseline" in told


@pytest.mark.parametrize("listing", ["claims", "workloads", "implementations"])
def test_a_listing_is_valid_json_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], listing: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["moe-validation", listing, "--json"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in {0, None}
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("listing", ["claims", "workloads", "implementations"])
def test_a_listing_fits_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], listing: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    call(monkeypatch, listing)
    told = capsys.readouterr().out
    assert max(len(line) for line in told.splitlines()) <= 80
    assert "…" not in told
