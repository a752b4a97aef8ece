"""evidence.json is whole or not there, and nothing that breaks a rule is read."""

import gzip
import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.synthetic import evidence
from validation.evidence import store
from validation.evidence.record import Evidence
from validation.evidence.store import dump, load, parse, sha256, write
from validation.usage import UsageError

WHOLE = evidence(times_us={"seed-claim": {"mojo": 10_000.0, "numpy_grouped": 13_000.0}}, pairs=2)


def _document() -> dict[str, object]:
    document: dict[str, object] = json.loads(dump(WHOLE))
    return document


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "new" / "evidence.json"
    write(WHOLE, path)
    assert load(path) == WHOLE


def test_equal_evidence_gives_equal_bytes() -> None:
    again = Evidence.model_validate_json(dump(WHOLE))
    assert sha256(dump(again)) == sha256(dump(WHOLE))


def test_each_process_stands_on_a_line_of_its_own() -> None:
    lines = dump(WHOLE).decode().splitlines()
    assert sum('"calls_ns"' in line for line in lines) == len(WHOLE.processes)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evidence.json"
    write(WHOLE, path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="must be writable; got: No space left on device"):
        write(WHOLE.model_copy(update={"notes": ("later",)}), path)
    assert load(path) == WHOLE
    assert [entry.name for entry in tmp_path.iterdir()] == ["evidence.json"]


def test_evidence_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    with pytest.raises(ValidationError):
        write(WHOLE.model_copy(update={"pairs_planned": "twelve"}), path)
    assert not path.exists()


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="must be writable"):
        write(WHOLE, tmp_path / "file" / "evidence.json")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json must be a readable evidence file; got: No such file"):
        load(tmp_path / "none.json")


def test_a_folder_is_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_told(share: float) -> None:
    data = dump(WHOLE)
    with pytest.raises(UsageError, match=r"cut\.json must be whole JSON"):
        parse(data[: int(len(data) * share)], "cut.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe\x00", "must be whole JSON"),
        (b"[" * 100_000, "recursion limit"),
        (b"[]", "must hold a JSON object, the evidence of a run; got list"),
        (b'{"schema_version": 99}', "must have schema_version 3; got 99"),
        (b'{"schema_version": true}', "must have schema_version 3; got True"),
        (b"{}", "must have schema_version 3; got None"),
        (b'{"schema_version": NaN}', "must be whole JSON"),
    ],
)
def test_what_is_no_evidence_is_told(data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(data, "x.json")


def test_a_file_too_large_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(dump(WHOLE))
    monkeypatch.setattr(store, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match="at most"):
        load(path)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(UsageError, match="speedup: Extra inputs are not permitted, got 382"):
        parse(json.dumps(_document() | {"speedup": 382}).encode(), "x.json")


def test_a_missing_field_is_named() -> None:
    document = _document()
    del document["environment"]
    with pytest.raises(UsageError, match="environment: Field required"):
        parse(json.dumps(document).encode(), "x.json")


@pytest.mark.parametrize("value", [-5, 1.5, "7", None, True])
def test_a_sample_that_is_no_count_of_nanoseconds_is_named_to_the_last_index(value: object) -> None:
    text = dump(WHOLE).decode()
    first = str(WHOLE.processes[0].series[0].blocks[0].calls_ns[0])
    planted = text.replace(f'"calls_ns":[{first},', f'"calls_ns":[{json.dumps(value)},', 1)
    assert planted != text
    with pytest.raises(UsageError, match=r"processes\.0\.series\.0\.blocks\.0\.calls_ns\.0: .*, got"):
        parse(planted.encode(), "x.json")


def test_many_broken_fields_are_counted_not_listed() -> None:
    planted = dump(WHOLE).decode().replace('"accepted":true', '"accepted":7')
    with pytest.raises(UsageError, match=r"; and \d+ more\.$"):
        parse(planted.encode(), "x.json")


def test_a_compressed_file_is_read_as_it_was_before(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json.gz"
    path.write_bytes(gzip.compress(dump(WHOLE)))
    assert load(path) == WHOLE
    assert sha256(store.read_bytes(path)) == sha256(dump(WHOLE))


def test_a_compressed_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json.gz"
    path.write_bytes(gzip.compress(dump(WHOLE))[:-20])
    with pytest.raises(UsageError, match="whole gzip file"):
        load(path)


def test_a_file_that_unfolds_beyond_all_evidence_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evidence.json.gz"
    path.write_bytes(gzip.compress(dump(WHOLE)))
    monkeypatch.setattr(store, "MAX_BYTES", len(dump(WHOLE)) - 1)
    with pytest.raises(UsageError, match="unfold to at most"):
        load(path)
