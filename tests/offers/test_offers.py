"""What a brought kernel is asked: what it deals with, never what it was not meant for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from validation.correctness.case import Outcome
from validation.correctness.planted_faults import FOLDER as PLANTED
from validation.correctness.survey import Standing
from validation.implementations.kernel_spec import parse_kernel
from validation.stages.examine import Examined, examine
from validation.stages.subject import Subject

pytestmark = pytest.mark.usefixtures("answered_once")

FOLDER: Final = Path(__file__).parent / "kernels"

OFFERED, DECLINED, NOT_OFFERED = Standing.OFFERED, Standing.DECLINED, Standing.NOT_OFFERED

OPTIONS: Final = ("gelu", "gelu_tanh", "silu", "gated", "bias", "router_bias", "raw", "bfloat16", "float16")


def examined(name: str, *require: str) -> Examined:
    kernel = parse_kernel(str(FOLDER / f"{name}.py"))
    return examine(Subject(implementation=kernel, threads=1, require=require), "smoke", Console(quiet=True))


def standings(found: Examined) -> Mapping[str, Standing]:
    return {offer.option: offer.standing for offer in found.offers if offer.option in OPTIONS}


def failures(found: Examined) -> list[str]:
    return [f"{case.id}: {case.message}" for case in found.cases if case.outcome is Outcome.FAILED]


def test_a_kernel_that_deals_with_everything_is_asked_everything_and_passes() -> None:
    found = examined("whole")
    assert standings(found) == dict.fromkeys(OPTIONS, OFFERED)
    assert failures(found) == []
    asked = {(case.dtype, word) for case in found.cases for word in case.shape.split("-")}
    assert {(d, w) for d in ("float32", "bfloat16", "float16") for w in ("gated", "bias", "raw", "gelu")} <= asked


@pytest.mark.parametrize("name", ["plain", "prints_the_config"])
def test_a_kernel_of_the_published_layer_alone_passes_and_the_rest_is_told_as_not_offered(name: str) -> None:
    found = examined(name)
    layer = dict.fromkeys(OPTIONS[:-2], NOT_OFFERED)
    assert standings(found) == {**layer, "bfloat16": OFFERED, "float16": OFFERED}
    assert failures(found) == []
    assert any(line.startswith("option gated: not offered: it never looks") for line in found.left_out)


def test_a_refusal_is_told_and_is_not_wrong() -> None:
    found = examined("refuses")
    told = {offer.option: offer.reason for offer in found.offers}
    assert standings(found) == {**dict.fromkeys(OPTIONS, DECLINED), "raw": NOT_OFFERED}
    assert "no bias in the router" in told["router_bias"]
    assert failures(found) == []


def test_a_kernel_of_bare_pointers_is_one_for_contiguous_float32() -> None:
    found = examined("float32_bits")
    assert standings(found)["bfloat16"] is NOT_OFFERED
    assert any("takes x for contiguous" in line for line in found.left_out)
    assert failures(found) == []


@pytest.mark.parametrize(
    ("name", "shows_in"),
    [
        ("forgets_b2", "bias"),
        ("forgets_router_bias", "router_bias"),
        ("forgets_renormalize", "raw"),
        ("forgets_bfloat16", "bfloat16"),
        ("gelu_by_tanh", "gelu"),
        ("silu_for_others", "gelu"),
    ],
)
def test_what_a_kernel_looks_at_and_gets_wrong_is_wrong(name: str, shows_in: str) -> None:
    failed = failures(examined(name))
    assert failed
    assert all(shows_in in one.split(":")[1].split("-") for one in failed if "gelu_tanh" not in one), failed


def test_what_is_required_must_be_dealt_with() -> None:
    failed = failures(examined("plain", "raw"))
    assert [one.partition(":")[2].startswith("40x64x96-E8-k2-raw") for one in failed] == [True]
    assert "never looks" in failed[0] or "elementwise" in failed[0]
    assert failures(examined("refuses", "gated")) != []


def test_a_declaration_is_taken_at_its_word() -> None:
    found = examined("declares")
    offered = {option for option, standing in standings(found).items() if standing is OFFERED}
    assert offered == {"gated", "bfloat16"}
    assert failures(found) == []


def test_what_is_declared_must_be_dealt_with() -> None:
    assert failures(examined("declares_too_much")) != []


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ("highest_id_wins", "exact_ties"),
        ("missing_router_bias", "random:40x64x96-E8-k2-router_bias"),
        ("no_tokens_crash", "random:0x"),
        ("renormalised_always", "random:40x64x96-E8-k2-raw"),
    ],
)
def test_a_planted_kernel_that_breaks_what_it_says_of_itself_is_wrong(fault: str, failed: str) -> None:
    kernel = parse_kernel(str(PLANTED / f"{fault}.py"))
    found = examine(Subject(implementation=kernel, threads=1), "smoke", Console(quiet=True))
    assert any(one.startswith(failed) for one in failures(found)), failures(found)


def test_promises_that_are_required_are_no_options_and_are_kept_an_eye_on() -> None:
    kernel = parse_kernel(str(PLANTED / "by_steps.py"))
    held = Subject(implementation=kernel, threads=1, require=("lowest_id_wins", "any_input"))
    assert held.required() == ()
    assert (held.candidate.lowest_id_wins, held.candidate.strict) == (True, True)
    free = Subject(implementation=kernel, threads=1).candidate
    assert (free.lowest_id_wins, free.strict) == (False, False)
