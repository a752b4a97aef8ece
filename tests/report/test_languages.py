"""The cross-language page says what the evidence says, calls an extrapolation one, and types no figure of its own."""

import re

import pytest

from tests import synthetic
from validation.evidence.record import Evidence
from validation.performance.figure import Figure
from validation.report.languages import languages_page

SEED_CLAIM = {synthetic.CANDIDATE: 10_000.0, "numpy_grouped": 14_000.0, "torch_dense": 30_000.0}
EVIDENCE = synthetic.evidence(times_us={"seed-claim": SEED_CLAIM})


def page(evidence: Evidence = EVIDENCE, workload: str = "seed-claim") -> str:
    return languages_page(evidence, "ab" * 32, workload)


def with_lists_at(workload: str) -> Evidence:
    """Evidence in which pure Python took 300 ms on another workload."""
    times = {"seed-claim": SEED_CLAIM, workload: {synthetic.CANDIDATE: 80.0, "numpy_per_token": 300_000.0}}
    text = synthetic.evidence(times_us=times).model_dump_json()
    return Evidence.model_validate_json(text.replace("numpy_per_token", "python_lists"))


def row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith((f"| {name}:", f"| **{name}**:")))


def test_every_contender_stands_with_its_time_share_and_ratio() -> None:
    text = page()
    assert "1.4" in row(text, "numpy_grouped").rpartition("× [")[0]
    assert " ms [" in row(text, "torch_dense")
    assert re.search(r"\| 8\d\.\d % \|", row(text, synthetic.CANDIDATE))


def test_contenders_are_listed_from_the_fastest_on() -> None:
    text = page()
    places = [text.index(row(text, name)) for name in (synthetic.CANDIDATE, "numpy_grouped", "torch_dense")]
    assert places == sorted(places)


def test_pure_python_is_extrapolated_from_few_tokens_and_says_so() -> None:
    line = row(page(with_lists_at("seed-claim-t8")), "python_lists")
    found = re.search(r"\*\*extrapolated\*\* from (\d+) ms at eight tokens.*about ([\d.]+) s", line)
    assert found is not None
    assert float(found[2]) * 1e3 / float(found[1]) == pytest.approx(1024 / 8, rel=0.01)


def test_pure_python_may_be_noted_as_a_figure() -> None:
    times = {"seed-claim": SEED_CLAIM, "seed-claim-t1": {synthetic.CANDIDATE: 20.0}}
    noted = Figure(
        name="call-s",
        implementation="python_lists",
        workload="seed-claim-t1",
        samples=(0.04, 0.05, 0.03),
        method="clock",
    )
    evidence = synthetic.evidence(times_us=times).model_copy(update={"figures": (noted,)})
    line = row(page(evidence), "python_lists")
    assert "**extrapolated** from 40.0 ms at one token, in proportion" in line
    assert "about 41.0 s" in line


def test_nothing_is_extrapolated_from_another_layer() -> None:
    assert "extrapolated" not in page(with_lists_at("seed-quick"))


def test_a_variant_of_the_kernel_is_a_contribution_and_no_contender() -> None:
    text = page(synthetic.evidence(times_us={"seed-claim": {**SEED_CLAIM, "mojo_scalar": 145_000.0}}))
    contenders, _, contributions = text.partition("## What each technique")
    assert "mojo_scalar" not in contenders
    assert re.search(r"14\.[3-7]×", row(contributions, "mojo_scalar"))


def test_what_the_run_left_out_is_listed() -> None:
    text = page(EVIDENCE.model_copy(update={"left_out": ("workload big: too big", "figure demo-s: no")}))
    assert "- workload big: too big" in text
    assert "demo-s" not in text


def test_a_workload_without_times_is_refused() -> None:
    with pytest.raises(ValueError, match="no times of seed-quick in float32"):
        page(workload="seed-quick")
