from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.claims.audit import AuditFinding, Check, Outcome, audit
from validation.claims.figures import as_published
from validation.claims.load import EXAMPLE_CLAIMS, SEED_CLAIMS, ClaimsFile, load_claims
from validation.claims.machines import Machine
from validation.claims.published import Number, Product, Shape

SEED = load_claims(SEED_CLAIMS)
SEED_FINDINGS = audit(SEED)
SHARED_FACTORS = ("script-specialisation", "script-pooling")
SHAPE = Shape(id="s", tokens=1000, d_model=10, d_ff=50, n_experts=4, top_k=2)
#: 2 experts x 2 matrices x 2 FLOP x 10 x 50.
FLOP_PER_TOKEN = 4000
LARGER = Shape(id="l", tokens=1000, d_model=100, d_ff=50, n_experts=4, top_k=2)


def number(name: str, value: float, unit: str, of: str = "ours", **more: Any) -> Number:
    given_ = {"id": name, "value": value, "unit": unit, "of": of, "source": f"README.md:{len(name)}"}
    return Number.model_validate(given_ | more)


def audited(*numbers: Number, products: tuple[Product, ...] = ()) -> tuple[AuditFinding, ...]:
    file = load_claims(EXAMPLE_CLAIMS)
    return audit(file.model_copy(update={"numbers": numbers, "products": products, "shapes": (SHAPE, LARGER)}))


def found(findings: tuple[AuditFinding, ...], check: Check) -> dict[tuple[str, ...], Outcome]:
    return {one.numbers: one.outcome for one in findings if one.check is check}


def only(findings: tuple[AuditFinding, ...], check: Check) -> AuditFinding:
    (finding,) = [one for one in findings if one.check is check]
    return finding


# What is known of the published texts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "numbers", "outcome"),
    [
        (Check.RATIO, ("torch-over-numpy", "torch-rate", "numpy-rate"), Outcome.AGREES),
        (Check.RATIO, ("mojo-over-numpy", "mojo-rate", "numpy-rate"), Outcome.AGREES),
        (Check.RATIO, ("language-advantage", "mojo-rate", "torch-rate"), Outcome.AGREES),
        (Check.SAME, ("mojo-over-optimized", "language-advantage"), Outcome.CONTRADICTS),
        (Check.SAME, ("mojo-over-numpy", "second-run-over-numpy"), Outcome.CONTRADICTS),
        (Check.PRODUCT, ("language-advantage", "script-simd", *SHARED_FACTORS), Outcome.CONTRADICTS),
        (Check.PRODUCT, ("language-advantage", "other-script-simd", *SHARED_FACTORS), Outcome.CONTRADICTS),
        (Check.UNIT, ("gflops", "gflops-work", "gflops-time"), Outcome.CONTRADICTS),
        (Check.WORK, ("gflops-work",), Outcome.CONTRADICTS),
        (Check.RATE_TIMES_LATENCY, ("serving-rate", "serving-mean"), Outcome.AGREES),
        (Check.ACROSS_SHAPES, ("mojo-rate", "serving-rate"), Outcome.NOTABLE),
        (Check.CEILING, ("mojo-rate",), Outcome.NOTABLE),
        (Check.PROVENANCE, ("mojo-rate",), Outcome.CONTRADICTS),
        (Check.PROVENANCE, ("serving-p95",), Outcome.CONTRADICTS),
    ],
)
def test_every_known_inconsistency_is_found_and_every_agreement_kept(
    check: Check, numbers: tuple[str, ...], outcome: Outcome
) -> None:
    assert found(SEED_FINDINGS, check)[numbers] is outcome


@pytest.mark.parametrize(
    ("check", "numbers", "parts"),
    [
        (Check.RATIO, ("torch-over-numpy", "torch-rate", "numpy-rate"), ["8.571x"]),
        (Check.SAME, ("mojo-over-optimized", "language-advantage"), ["cannot both name the same baseline"]),
        (Check.UNIT, ("gflops", "gflops-work", "gflops-time"), ["2.155 GFLOP/s", "factor 1,000", "wrong unit prefix"]),
        (Check.WORK, ("gflops-work",), ["549.8 GFLOP"]),
        (Check.ACROSS_SHAPES, ("mojo-rate", "serving-rate"), ["67.1 in tokens/s"]),
        (Check.CEILING, ("mojo-rate",), ["2.097 MFLOP per token", "49.18 TFLOP/s", "largest x86 CPU"]),
    ],
)
def test_a_finding_says_its_numbers(check: Check, numbers: tuple[str, ...], parts: list[str]) -> None:
    sentence = next(one.sentence for one in SEED_FINDINGS if one.check is check and one.numbers == numbers)
    for part in parts:
        assert part in sentence


def test_the_circular_advantage_is_traced_to_its_constants() -> None:
    traced = next(
        one for one in SEED_FINDINGS if one.check is Check.CIRCULAR and one.numbers[0] == "language-advantage"
    )
    assert {"mojo-rate", "script-simd", "script-specialisation", "script-pooling"} <= set(traced.numbers)


def test_contradictions_are_listed_first() -> None:
    order = [list(Outcome).index(one.outcome) for one in SEED_FINDINGS]
    assert order == sorted(order)


def test_every_finding_names_where_its_numbers_stand() -> None:
    assert all(one.sources and one.sentence.endswith(".") for one in SEED_FINDINGS)


# The rules, each on somebody else's numbers: a planted contradiction, and the honest twin -----------------------------

RATES = (number("fast", 900, "tokens/s", shape="s"), number("slow", 100, "tokens/s", of="theirs", shape="s"))
OURS_OVER_THEIRS: dict[str, Any] = {"of": "ours", "than": "theirs", "shape": "s"}


@pytest.mark.parametrize(("speedup", "outcome"), [(9, Outcome.AGREES), (9.5, Outcome.CONTRADICTS)])
def test_a_speedup_is_the_ratio_of_its_rates(speedup: float, outcome: Outcome) -> None:
    finding = only(audited(*RATES, number("s", speedup, "x", **OURS_OVER_THEIRS)), Check.RATIO)
    assert finding.outcome is outcome
    assert finding.expected == pytest.approx(9.0, rel=1e-3)


@pytest.mark.parametrize(("speedup", "outcome"), [(4, Outcome.AGREES), (0.25, Outcome.CONTRADICTS)])
def test_a_speedup_is_the_ratio_of_its_times_the_other_way_round(speedup: float, outcome: Outcome) -> None:
    times = (number("fast", 5, "ms"), number("slow", 0.02, "s", of="theirs"))
    assert only(audited(*times, number("s", speedup, "x", than="theirs")), Check.RATIO).outcome is outcome


def test_rates_at_different_shapes_have_no_ratio() -> None:
    elsewhere = number("slow", 100, "tokens/s", of="theirs", shape="l")
    assert not found(audited(RATES[0], elsewhere, number("s", 2, "x", than="theirs")), Check.RATIO)


@pytest.mark.parametrize(("whole", "outcome"), [(6, Outcome.AGREES), (12, Outcome.CONTRADICTS)])
def test_speedups_over_a_third_multiply(whole: float, outcome: Outcome) -> None:
    findings = audited(
        number("ab", 2.0, "x", of="a", than="b"),
        number("bc", 3.0, "x", of="b", than="c"),
        number("ac", whole, "x", of="a", than="c"),
    )
    assert only(findings, Check.CHAIN).outcome is outcome


@pytest.mark.parametrize(("total", "outcome"), [(6, Outcome.AGREES), (8, Outcome.CONTRADICTS)])
def test_factors_multiply_to_their_total(total: float, outcome: Outcome) -> None:
    numbers = [number("p", 2, "x", than="q"), number("r", 3, "x", than="t"), number("w", total, "x", than="u")]
    made = Product(id="m", parts=("p", "r"), total="w", source="README.md:9")
    assert only(audited(*numbers, products=(made,)), Check.PRODUCT).outcome is outcome


def test_a_range_of_factors_agrees_with_a_total_inside_it() -> None:
    numbers = [number("p", 2, "x", than="q", up_to=5), number("r", 3, "x", than="t"), number("w", 9, "x", than="u")]
    made = Product(id="m", parts=("p", "r"), total="w", source="README.md:9")
    assert only(audited(*numbers, products=(made,)), Check.PRODUCT).outcome is Outcome.AGREES


@pytest.mark.parametrize(
    ("unit", "outcome", "prefix"),
    [("GFLOP/s", Outcome.AGREES, False), ("TFLOP/s", Outcome.CONTRADICTS, True), ("FLOP/s", Outcome.CONTRADICTS, True)],
)
def test_a_wrong_prefix_is_recognised(unit: str, outcome: Outcome, *, prefix: bool) -> None:
    findings = audited(number("r", 50, unit), number("w", 100, "GFLOP"), number("t", 2, "s"))
    finding = only(findings, Check.UNIT)
    assert finding.outcome is outcome
    assert ("wrong unit prefix" in finding.sentence) is prefix


@pytest.mark.parametrize(("flop", "outcome"), [(4, Outcome.AGREES), (5, Outcome.CONTRADICTS)])
def test_the_work_of_a_call_follows_from_its_shape(flop: float, outcome: Outcome) -> None:
    assert only(audited(number("w", flop, "MFLOP", shape="s")), Check.WORK).outcome is outcome


@pytest.mark.parametrize(("gflops", "outcome"), [(4.0, Outcome.AGREES), (40.0, Outcome.CONTRADICTS)])
def test_tokens_times_work_is_the_rate(gflops: float, outcome: Outcome) -> None:
    findings = audited(number("r", gflops, "GFLOP/s", shape="s"), number("t", 1_000_000, "tokens/s", shape="s"))
    assert only(findings, Check.RATE_TIMES_WORK).outcome is outcome
    assert SHAPE.flop_per_token == FLOP_PER_TOKEN


@pytest.mark.parametrize(("ms", "outcome"), [(100, Outcome.AGREES), (25, Outcome.CONTRADICTS)])
def test_tokens_per_second_times_latency_are_the_tokens_in_flight(ms: float, outcome: Outcome) -> None:
    findings = audited(number("r", 10_000, "tokens/s", shape="s"), number("t", ms, "ms", shape="s"))
    assert only(findings, Check.RATE_TIMES_LATENCY).outcome is outcome


def test_a_p95_above_the_mean_is_nothing_to_remark_on() -> None:
    findings = audited(number("r", 10_000, "tokens/s", shape="s"), number("t", 150, "ms", shape="s", statistic="p95"))
    assert not found(findings, Check.RATE_TIMES_LATENCY)


def test_a_p95_below_the_mean_is_a_contradiction() -> None:
    findings = audited(number("r", 10_000, "tokens/s", shape="s"), number("t", 50, "ms", shape="s", statistic="p95"))
    assert only(findings, Check.RATE_TIMES_LATENCY).outcome is Outcome.CONTRADICTS


def test_ten_requests_in_flight_hold_ten_times_the_tokens() -> None:
    findings = audited(
        number("r", 10_000, "tokens/s", shape="s", concurrency=10),
        number("t", 1, "s", shape="s", concurrency=10),
    )
    assert only(findings, Check.RATE_TIMES_LATENCY).outcome is Outcome.AGREES


def test_a_rate_beyond_every_machine_contradicts_and_beyond_some_is_notable() -> None:
    file = load_claims(EXAMPLE_CLAIMS).model_copy(update={"numbers": (number("r", 50, "GFLOP/s"),)})
    small = Machine(name="a small machine", flop_per_s=1e9, source="here")
    large = Machine(name="a large machine", flop_per_s=1e12, source="here")
    assert only(audit(file, [small]), Check.CEILING).outcome is Outcome.CONTRADICTS
    assert only(audit(file, [small, large]), Check.CEILING).outcome is Outcome.NOTABLE
    assert not found(audit(file, [large]), Check.CEILING)


def test_a_simulated_number_presented_as_measured_contradicts() -> None:
    honest = number("h", 5, "tokens/s", provenance="measured", presented_as="measured")
    simulated = number("s", 5, "tokens/s", of="theirs", provenance="simulated", presented_as="measured")
    open_about_it = number("o", 5, "tokens/s", of="others", provenance="simulated", presented_as="simulated")
    assert set(found(audited(honest, simulated, open_about_it), Check.PROVENANCE)) == {("s",)}


def test_a_number_measured_on_something_else_contradicts() -> None:
    elsewhere = number("e", 5, "tokens/s", provenance="measured", presented_as="measured", ran="theirs")
    assert "said of ours, and its scripts ran theirs" in only(audited(elsewhere), Check.PROVENANCE).sentence


def test_a_number_derived_from_an_invented_one_is_traced_through_others() -> None:
    findings = audited(
        number("root", 2, "x", of="p", than="q", provenance="asserted"),
        number("middle", 5, "tokens/s", derived_from=("root",)),
        number("leaf", 7, "tokens/s", of="z", derived_from=("middle",), presented_as="measured"),
    )
    assert found(findings, Check.CIRCULAR) == {
        ("middle", "root"): Outcome.NOTABLE,
        ("leaf", "root"): Outcome.CONTRADICTS,
    }


def test_numbers_derived_from_each_other_in_a_ring_end_the_search() -> None:
    ring = audited(
        number("a", 2, "ms", derived_from=("b",), provenance="asserted"),
        number("b", 2, "s", of="z", derived_from=("a",)),
    )
    assert ("b", "a") in found(ring, Check.CIRCULAR)


def test_one_number_said_with_different_digits_agrees_with_itself() -> None:
    findings = audited(
        number("a", 382, "x", than="n"), number("b", 382.87, "x", than="n"), number("c", 400, "x", than="n")
    )
    assert found(findings, Check.SAME) == {("a", "b"): Outcome.AGREES, ("b", "c"): Outcome.CONTRADICTS}


def test_the_example_is_consistent() -> None:
    assert all(one.outcome is Outcome.AGREES for one in audit(load_claims(EXAMPLE_CLAIMS)))


def test_a_file_without_numbers_has_no_findings() -> None:
    assert audited() == ()


@given(
    st.integers(min_value=1, max_value=10**8),
    st.integers(min_value=1, max_value=10**8),
    st.integers(min_value=1, max_value=4),
)
def test_a_ratio_rounded_to_any_digits_never_contradicts_its_own_rates(fast: int, slow: int, digits: int) -> None:
    ratio = float(f"{fast / slow:.{digits}g}")
    findings = audited(
        number("f", fast, "tokens/s", shape="s"),
        number("t", slow, "tokens/s", of="theirs", shape="s"),
        number("r", ratio, "x", **OURS_OVER_THEIRS),
    )
    if ratio < 10**digits:  # beyond that the zeros are not digits
        assert only(findings, Check.RATIO).outcome is Outcome.AGREES


@given(st.sampled_from(SEED.numbers))
def test_a_number_agrees_with_itself(one: Number) -> None:
    assert as_published(one).agrees(as_published(one))


def test_the_order_of_the_numbers_makes_no_difference() -> None:
    backwards: ClaimsFile = SEED.model_copy(update={"numbers": SEED.numbers[::-1]})
    assert {(one.check, frozenset(one.numbers), one.outcome) for one in audit(backwards)} == {
        (one.check, frozenset(one.numbers), one.outcome) for one in SEED_FINDINGS
    }
