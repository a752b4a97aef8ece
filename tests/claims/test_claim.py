from typing import Any

import pytest
from pydantic import ValidationError

from validation.claims.claim import Claim, Load, Reading, Requirement


def reading(**changed: Any) -> Reading:
    given: dict[str, Any] = {
        "id": "cpu",
        "strict": True,
        "meaning": "same CPU",
        "metric": "speedup",
        "requirement": {"at_least": 2},
        "workload": "seed-claim",
        "device": "cpu",
        "baseline": "numpy_grouped",
    }
    return Reading.model_validate(given | changed)


def claim(*readings: Reading) -> Claim:
    return Claim(
        id="fast",
        title="Fast",
        quote="fast",
        source="README.md:1",
        provenance="measured",  # as it stands in TOML
        provenance_reason="a script",
        readings=readings,
    )


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"baseline": None}, "baseline: a speedup is against something"),
        ({"metric": "tokens_per_s"}, "only a speedup or a figure has one"),
        ({"metric": "p95_latency_us", "baseline": None}, "requirement: p95_latency_us takes at_most"),
        ({"requirement": {"at_most": 2}}, "requirement: speedup takes at_least"),
        ({"metric": "figure"}, "figure: names the quantity"),
        ({"figure": "energy-j"}, "figure: names the quantity"),
        ({"load": {"concurrency": 10}}, "load: only a latency quantile"),
        ({"metric": "holds", "baseline": None}, "untestable: a statement without a number"),
        ({"dtype": "float64"}, "'float32', 'bfloat16' or 'float16'"),
        ({"device": "tpu"}, "'cpu' or 'cuda'"),
    ],
)
def test_a_reading_that_means_nothing_does_not_construct(changed: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        reading(**changed)


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"at_least": 1, "at_most": 2},
        {"at_least": -1},
        {"at_least": 0},
        {"at_least": float("nan")},
        {"at_least": float("inf")},
        {"at_least": 3, "up_to": 2},
        {"at_most": 3, "up_to": 4},
    ],
)
def test_a_requirement_is_one_positive_finite_bound_or_a_range(bounds: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Requirement.model_validate(bounds)


def test_the_lower_end_of_a_range_is_what_is_tested() -> None:
    assert Requirement(at_least=15, up_to=60).bound == 15


def test_an_open_loop_states_its_rate_and_a_closed_one_has_none() -> None:
    with pytest.raises(ValidationError, match="an open loop states its arrival rate"):
        Load.model_validate({"arrivals": "open"})
    with pytest.raises(ValidationError, match="a closed loop has none"):
        Load.model_validate({"arrivals": "closed", "per_s": 3})


def test_a_claim_has_exactly_one_strict_reading() -> None:
    with pytest.raises(ValidationError, match=r"exactly one reading is strict.*got none"):
        claim(reading(strict=False))
    with pytest.raises(ValidationError, match="exactly one reading is strict"):
        claim(reading(), reading(id="other"))


def test_a_claim_without_a_reading_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        claim()


def test_readings_of_a_claim_have_different_ids() -> None:
    with pytest.raises(ValidationError, match="reading ids must differ"):
        claim(reading(), reading(strict=False))
