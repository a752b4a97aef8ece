from pathlib import Path

import pytest

from validation.claims.load import (
    EXAMPLE_CLAIMS,
    OWN_CLAIMS,
    SEED_CLAIMS,
    ClaimsFile,
    check_distinct,
    check_names,
    load_claims,
    parse_claims,
)
from validation.usage import UsageError
from validation.workloads.registry import find

GOOD = """
schema_version = 1
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


def message(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_claims(text.encode(), "mine.toml")
    return str(caught.value)


def test_a_claims_file_is_read_with_its_name_and_digest() -> None:
    file = parse_claims(GOOD.encode(), "mine.toml")
    assert (file.name, len(file.sha256), file.claims[0].readings[0].baseline) == ("mine.toml", 64, "numpy_grouped")


@pytest.mark.parametrize("path", [SEED_CLAIMS, OWN_CLAIMS, EXAMPLE_CLAIMS])
def test_every_shipped_claims_file_loads(path: Path) -> None:
    assert load_claims(path).claims


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            'baseline = "numpy_grouped"',
            "",
            ["claim 'fast'", "reading 'cpu'", "baseline: a speedup is against something"],
        ),
        (
            "at_least = 2",
            "at_least = -2",
            ["claim 'fast'", "requirement", "at_least", "greater than 0", "-2", "positive"],
        ),
        ("at_least = 2", "at_least = nan", ["claim 'fast'", "at_least", "finite number", "nan"]),
        ('metric = "speedup"', 'metric = "speed"', ["claim 'fast'", "metric", "'speedup'", "'speed'"]),
        ('title = "Fast"', "", ["claim 'fast'", "title", "Field required", "add it"]),
        ('title = "Fast"', 'titel = "Fast"', ["claim 'fast'", "titel", "not permitted", "spelling"]),
        ('id = "cpu"', 'id = "C P U"', ["claim 'fast'", "reading 'C P U'", "id", "lower-case"]),
        ('workload = "seed-claim"', "", ["reading 'cpu'", "workload", "Field required"]),
        ('title = "Fast"', 'title = "Fast"\npromise = true\ntarget = true', ["claim 'fast'", "target", "not both"]),
    ],
)
def test_a_mistake_is_told_with_file_claim_field_rule_and_value(old: str, new: str, parts: list[str]) -> None:
    said = message(GOOD.replace(old, new))
    for part in ["mine.toml", *parts]:
        assert part in said


def test_a_claim_without_an_id_is_named_by_its_place() -> None:
    assert "claim 1, id: Field required" in message(GOOD.replace('id = "fast"', ""))


def test_every_mistake_is_told_at_once() -> None:
    said = message(GOOD.replace('title = "Fast"', "").replace('quote = "fast"', ""))
    assert "title" in said
    assert "quote" in said


def test_a_claim_without_a_reading_is_refused() -> None:
    said = message(GOOD.split("[[claims.readings]]", maxsplit=1)[0])
    assert "claim 'fast', readings: Field required" in said


def test_a_file_without_a_claim_is_refused() -> None:
    assert "claims: Field required" in message("schema_version = 1")


def test_broken_toml_is_told_with_its_line() -> None:
    assert "not valid TOML" in message("schema_version = 1\nclaims = [")
    assert "line 3" in message("schema_version = 1\n\nclaims == 2\n")


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UsageError, match="TOML in UTF-8; byte 0 is not"):
        parse_claims(b"\xff\xfe", "mine.toml")


@pytest.mark.parametrize("version", ["2", '"1"'])
def test_another_schema_version_is_told_with_both(version: str) -> None:
    said = message(GOOD.replace("schema_version = 1", f"schema_version = {version}"))
    assert "schema_version must be 1" in said
    assert version.strip('"') in said


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.toml: a claims file must be readable"):
        load_claims(tmp_path / "nothing.toml")


def test_a_folder_is_no_claims_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be readable"):
        load_claims(tmp_path)


def test_two_claims_of_one_id_are_refused() -> None:
    claims = GOOD.split("[[claims]]", maxsplit=1)[1]
    assert "claim 'fast': id: ids must differ; 2 have this one" in message(f"{GOOD}\n[[claims]]{claims}")


def test_one_id_in_two_files_is_told_with_both() -> None:
    one, other = parse_claims(GOOD.encode(), "one.toml"), parse_claims(GOOD.encode(), "other.toml")
    with pytest.raises(UsageError, match=r"other\.toml.*'fast' stands in one\.toml"):
        check_distinct([one, other])


NUMBER = """
[[numbers]]
id = "rate"
value = 5
unit = "tokens/s"
of = "us"
source = "README.md:2"
"""


@pytest.mark.parametrize(
    ("added", "parts"),
    [
        (NUMBER + 'shape = "nowhere"\n', ["no shape is named 'nowhere'"]),
        (NUMBER + 'derived_from = ["rat"]\n', ["no number is named 'rat'", "Did you mean rate?"]),
        (NUMBER.replace("tokens/s", "x"), ["number 'rate'", "than: a number of unit 'x' says over what"]),
        (NUMBER.replace("tokens/s", "tokens per s"), ["number 'rate'", "unit", "'tokens per s'"]),
        (NUMBER + "up_to = 2\n", ["number 'rate'", "must not be below"]),
        (NUMBER + NUMBER, ["number 'rate': id: ids must differ"]),
        (
            NUMBER + '[[products]]\nid = "p"\nparts = ["rate", "x"]\ntotal = "rate"\nsource = "a"\n',
            ["no number is named 'x'"],
        ),
    ],
)
def test_a_mistake_in_the_published_numbers_is_told(added: str, parts: list[str]) -> None:
    said = message(GOOD + added)
    for part in ["mine.toml", *parts]:
        assert part in said


def check(text: str) -> None:
    file: ClaimsFile = parse_claims(text.encode(), "mine.toml")
    check_names(
        [file], find_workload=find, implementations={"numpy_grouped", "torch_dense"}, families={"numpy", "torch"}
    )


@pytest.mark.parametrize("baseline", ["strongest", "strongest:torch", "torch_dense"])
def test_known_names_pass(baseline: str) -> None:
    check(GOOD.replace("numpy_grouped", baseline))


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("numpy_grouped", "numpy_groped", "no baseline is named 'numpy_groped'. Did you mean numpy_grouped"),
        ("numpy_grouped", "strongest:tosh", "no family is named 'tosh'"),
        ("seed-claim", "seed-clam", "no workload is named 'seed-clam'. Did you mean seed-claim"),
        ('device = "cpu"', 'device = "cpu"\ncandidate = "mine"', "no implementation is named 'mine'"),
    ],
)
def test_an_unknown_name_is_told_with_its_reading_and_what_is_close(old: str, new: str, rule: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(GOOD.replace(old, new))
    assert str(caught.value).startswith(f"mine.toml: claim 'fast', reading 'cpu': {rule}")


def test_a_shape_is_a_workload_too() -> None:
    check(GOOD.replace("seed-claim", "512x128x512-E4-k2"))


def test_an_untestable_reading_may_name_what_nobody_has() -> None:
    check(GOOD.replace('"numpy_grouped"', '"cobol"\nuntestable = "no compiler"'))
