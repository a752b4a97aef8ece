from pathlib import Path

import pytest

from validation.correctness.planted import Trial, Trials, sources_digest, try_fault
from validation.stages import planted


def trials(sources: str) -> Trials:
    caught = Trial(name="zeros", by="exact", caught=True)
    missed = Trial(name="tf32", by="random", caught=False)
    return Trials(sources=sources, tried="2026-01-01", faults=(caught, missed), cheats=(caught,))


def test_the_sentence_counts_what_was_caught() -> None:
    assert "caught 1 of 2 planted faults, 1 of 1 cheats" in trials("").sentence


def test_a_planted_fault_is_caught_in_a_worker_too() -> None:
    found = try_fault("dropped_last_hidden")
    assert found.caught, found.message


def test_the_digest_changes_with_a_decisive_file_and_with_no_other(tmp_path: Path) -> None:
    decisive = tmp_path / "planted" / "faults" / "zeros.py"
    decisive.parent.mkdir(parents=True)
    decisive.write_text("one")
    before = sources_digest(tmp_path)
    (tmp_path / "README.md").write_text("another")
    assert sources_digest(tmp_path) == before
    decisive.write_text("two")
    assert sources_digest(tmp_path) != before


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (trials(sources_digest()).model_dump_json(), True),
        (trials("of other sources").model_dump_json(), False),
        ("{}", False),
    ],
    ids=["these sources", "other sources", "no record"],
)
def test_a_trial_counts_for_the_sources_it_was_made_with(
    text: str, *, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "planted.json"
    path.write_text(text)
    monkeypatch.setattr(planted, "RECORDS", (tmp_path / "none.json", path))
    assert (planted.known_trials() is not None) is known
