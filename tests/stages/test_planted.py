from pathlib import Path

import pytest

from validation.correctness.planted import sources_digest, try_fault
from validation.correctness.trials import Trial, Trials
from validation.stages import planted


def trials(sources: str) -> Trials:
    caught = Trial(name="zeros", by="exact", caught=True)
    missed = Trial(name="tf32", by="random", caught=False)
    return Trials(sources=sources, tried="2026-01-01", faults=(caught, missed), cheats=(caught,))


def test_the_sentence_counts_what_was_caught() -> None:
    counted = trials("these").counted("these")
    assert "caught 1 of 2 planted faults, 1 of 1 cheats by this build" in counted.sentence
    assert counted.missed == ("tf32",)
    assert "by an earlier build" in trials("others").counted("these").sentence


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


def test_the_record_is_of_these_sources_and_misses_nothing() -> None:
    """The tests of cheats look once where the gates look three times; `make planted` leaves nothing out."""
    record = Trials.model_validate_json(planted.RECORDS[-1].read_text())
    counted = record.counted(sources_digest())
    assert counted.these_sources, "run `make planted` and copy build/planted.json to records/"
    assert counted.missed == ()


@pytest.mark.parametrize(
    ("texts", "these"),
    [
        ((trials(sources_digest()).model_dump_json(), ""), True),
        ((trials("of others").model_dump_json(), trials(sources_digest()).model_dump_json()), True),
        (("", trials("of others").model_dump_json()), False),
        (("{}", ""), None),
    ],
    ids=["these sources", "these sources, as committed", "other sources", "no record"],
)
def test_what_was_tried_with_these_sources_goes_first(
    texts: tuple[str, str], *, these: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = (tmp_path / "of_this_machine.json", tmp_path / "as_committed.json")
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    monkeypatch.setattr(planted, "RECORDS", paths)
    counted = planted.planted_count()
    assert (None if counted is None else counted.these_sources) is these
