import json
import tomllib
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged
from validation.claims.load import EXAMPLE_CLAIMS, OWN_CLAIMS, SEED_CLAIMS
from validation.evidence import store as evidence_store
from validation.verdicts import store
from validation.verdicts.schemas import FOLDER, schemas

EVIDENCE = synthetic.evidence(times_us=TIMES, pairs=5)


def valid(name: str, document: Any) -> bool:
    schema = json.loads(schemas()[f"{name}.schema.json"])
    schema.pop("$schema")  # fastjsonschema reads draft 7; what these schemas use is the same in both
    try:
        fastjsonschema.validate(schema, document)
    except fastjsonschema.JsonSchemaException:
        return False
    return True


@pytest.mark.parametrize("name", schemas())
def test_the_schemas_in_the_repository_are_those_of_the_records(name: str) -> None:
    assert (FOLDER / name).read_text() == schemas()[name], "run `python -m validation.verdicts.schemas`"


@pytest.mark.parametrize("path", [SEED_CLAIMS, OWN_CLAIMS, EXAMPLE_CLAIMS])
def test_the_shipped_claims_validate(path: Path) -> None:
    assert valid("claims", tomllib.loads(path.read_text()))


def test_evidence_and_verdicts_validate_as_written() -> None:
    assert valid("evidence", json.loads(evidence_store.dump(EVIDENCE)))
    assert valid("verdicts", json.loads(store.dump(judged(claim(), EVIDENCE))))


@pytest.mark.parametrize("name", ["claims", "evidence", "verdicts"])
def test_an_unknown_field_does_not_validate(name: str) -> None:
    documents: dict[str, Any] = {
        "claims": tomllib.loads(OWN_CLAIMS.read_text()),
        "evidence": json.loads(evidence_store.dump(EVIDENCE)),
        "verdicts": json.loads(store.dump(judged(claim(), EVIDENCE))),
    }
    assert not valid(name, documents[name] | {"extra": 1})
