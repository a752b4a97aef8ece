"""The published claims as data against the published texts, which stand beside this file as they were published."""

from pathlib import Path

import pytest

from validation.claims.claim import Claim, Provenance
from validation.claims.load import OWN_CLAIMS, SEED_CLAIMS, check_distinct, check_names, load_claims
from validation.implementations.menu import KNOWN
from validation.workloads.registry import find

PUBLISHED = Path(__file__).parent / "published"
SEED = load_claims(SEED_CLAIMS)
CLAIMS = {claim.id: claim for claim in SEED.claims}


def line(source: str) -> str:
    file, _, number = source.partition(":")
    return (PUBLISHED / file).read_text().splitlines()[int(number) - 1]


@pytest.mark.parametrize("claim", SEED.claims, ids=lambda claim: claim.id)
def test_every_quote_stands_verbatim_where_it_is_said_to(claim: Claim) -> None:
    assert claim.quote in line(claim.source.split(", ", maxsplit=1)[0])


@pytest.mark.parametrize("claim", load_claims(OWN_CLAIMS).claims, ids=lambda claim: claim.id)
def test_what_we_claim_ourselves_is_said_where_it_is_said_to_be(claim: Claim) -> None:
    text = " ".join((PUBLISHED.parents[2] / claim.source).read_text().split())
    assert claim.quote.lower() in text.lower()


@pytest.mark.parametrize("claim", SEED.claims, ids=lambda claim: claim.id)
def test_every_further_place_is_a_line_that_says_something(claim: Claim) -> None:
    for source in claim.source.split(", "):
        assert line(source).strip(" -*#")


@pytest.mark.parametrize("number", [n for n in SEED.numbers if ".md:" in n.source], ids=lambda number: number.id)
def test_every_number_stands_in_the_line_it_is_taken_from(number: object) -> None:
    assert hasattr(number, "value")
    assert hasattr(number, "source")
    text = line(number.source).replace(",", "")
    percents = f"{(number.value - 1) * 100:.0f}-"  # 1.2 stands there as 20-50 %
    assert f"{number.value:.10g}" in text or percents in text


def test_every_published_claim_is_there() -> None:
    assert set(CLAIMS) == {
        "numpy-speedup",
        "baseline-speedup",
        "numpy-throughput",
        "torch-throughput",
        "mojo-throughput",
        "gflops",
        "serving-throughput",
        "serving-p95",
        "language-advantage",
        "simd",
        "specialisation",
        "pooling",
        "interpreter",
        "cpp",
        "autovec",
        "one-source",
        "max-api",
        "reproducible",
        "demo",
        "benchmarkable",
        "energy",
        "conservative",
    }


def test_the_strict_reading_of_a_comparison_keeps_device_and_dtype() -> None:
    for claim in SEED.claims:
        strict = next(reading for reading in claim.readings if reading.strict)
        assert strict.baseline_device in {None, strict.device}
        assert strict.baseline_dtype in {None, strict.dtype}


def test_only_what_the_published_scripts_timed_is_called_measured() -> None:
    measured = {claim.id for claim in SEED.claims if claim.provenance is Provenance.MEASURED}
    assert measured == {"numpy-throughput", "torch-throughput", "serving-throughput", "serving-p95"}


def test_every_name_in_the_shipped_files_is_known() -> None:
    files = [SEED, load_claims(OWN_CLAIMS)]
    check_distinct(files)
    check_names(
        files,
        find_workload=find,
        implementations={one.name for one in KNOWN},
        families={one.family for one in KNOWN},
    )


def test_the_shapes_of_the_audit_are_those_of_the_workloads() -> None:
    for shape in SEED.shapes:
        assert shape.flops == find(shape.id).flops


def test_what_we_say_of_ourselves_is_a_promise_or_a_target() -> None:
    own = load_claims(OWN_CLAIMS).claims
    assert all(claim.promise != claim.target for claim in own)
    assert {claim.id.startswith("target-") for claim in own if claim.target} == {True}
    assert not any(claim.promise or claim.target for claim in SEED.claims)
