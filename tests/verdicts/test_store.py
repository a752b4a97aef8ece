from pathlib import Path

import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged
from validation.usage import UsageError
from validation.verdicts.store import dump, load, parse, write

VERDICTS = judged(claim(), synthetic.evidence(times_us=TIMES))


def test_verdicts_come_back_as_they_were_written(tmp_path: Path) -> None:
    write(VERDICTS, tmp_path / "verdicts.json")
    assert load(tmp_path / "verdicts.json") == VERDICTS


def test_the_same_verdicts_are_the_same_bytes(tmp_path: Path) -> None:
    again = judged(claim(), synthetic.evidence(times_us=TIMES))
    assert dump(again) == dump(VERDICTS) == dump(parse(dump(VERDICTS), "v"))
    write(VERDICTS, tmp_path / "verdicts.json")
    assert (tmp_path / "verdicts.json").read_bytes() == dump(VERDICTS)


def test_nothing_is_left_beside_a_written_file(tmp_path: Path) -> None:
    write(VERDICTS, tmp_path / "verdicts.json")
    assert [one.name for one in tmp_path.iterdir()] == ["verdicts.json"]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (dump(VERDICTS)[:-40], "must be JSON, whole"),
        (b"[]", "schema_version must be 1"),
        (dump(VERDICTS).replace(b'"schema_version": 1', b'"schema_version": 7'), "reads; got 7"),
        (dump(VERDICTS).replace(b'"confirmed"', b'"true"'), r"findings\.0\.verdict|claims\.0\.verdict"),
    ],
)
def test_a_file_that_is_no_verdicts_is_told(data: bytes, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        parse(data, "verdicts.json")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be a readable verdicts file"):
        load(tmp_path / "none.json")
