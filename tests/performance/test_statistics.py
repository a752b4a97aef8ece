import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import synthetic
from validation.performance.sample import CLOCK_DISAGREES, Block, ProbeRule
from validation.performance.statistics import (
    Estimate,
    accepted_calls,
    accepts,
    bonferroni,
    level,
    mean_interval,
    process_value,
    quantile,
    quantile_ranks,
    ratio,
)

RULE = ProbeRule(usual_flop_per_s=100.0)
times = st.lists(st.floats(min_value=1e2, max_value=1e12), min_size=2, max_size=20)


def block(before: float, after: float, *, accepted: bool = True) -> Block:
    return Block(probe_before=before, probe_after=after, accepted=accepted, parent_ns=9, calls_ns=(1, 2, 3))


@pytest.mark.parametrize(("before", "after", "counts"), [(80, 80, True), (79.9, 100, False), (100, 79.9, False)])
def test_a_block_counts_only_when_both_probes_reach_the_share(before: float, after: float, *, counts: bool) -> None:
    assert accepts(RULE, block(before, after)) is counts


def test_without_a_rule_every_block_counts() -> None:
    assert accepts(None, block(0, 0))


def test_a_block_whose_clocks_disagreed_never_counts() -> None:
    flagged = block(100, 100, accepted=False).model_copy(update={"reason": CLOCK_DISAGREES})
    assert not accepts(RULE, flagged)


def test_calls_that_outlast_the_parents_wait_never_count() -> None:
    assert not accepts(RULE, block(100, 100).model_copy(update={"parent_ns": 5}))


def test_the_stored_flag_does_not_make_a_block_count() -> None:
    series = synthetic.evidence(pairs=1).processes[0].series[0]
    forged = series.model_copy(update={"blocks": (block(10, 10, accepted=True),)})
    assert accepted_calls(forged, RULE) == ()


def test_the_value_of_a_process_is_its_median_call() -> None:
    assert process_value([10, 30, 20, 1_000_000, 20]) == 20


@pytest.mark.parametrize("calls", [[], [5], [5, 6]])
def test_a_process_with_too_few_accepted_calls_has_no_value(calls: list[int]) -> None:
    assert process_value(calls) is None


def test_a_process_whose_clock_stood_still_has_no_value() -> None:
    assert process_value([0, 0, 0, 0]) is None


def test_the_estimate_is_the_geometric_mean_of_the_paired_ratios() -> None:
    estimate = ratio([200, 800], [100, 100])
    assert estimate is not None
    assert estimate.value == pytest.approx(4.0)


@pytest.mark.parametrize(("baseline", "candidate"), [([], []), ([5.0], [2.0])])
def test_fewer_than_two_pairs_give_no_estimate(baseline: list[float], candidate: list[float]) -> None:
    assert ratio(baseline, candidate) is None


def test_two_pairs_give_the_wide_interval_of_student_t() -> None:
    estimate = ratio([100, 110], [100, 100])
    assert estimate is not None
    half = 12.7062 * np.std(np.log([1, 1.1]), ddof=1) / np.sqrt(2)
    assert np.log(estimate.high / estimate.value) == pytest.approx(half, rel=1e-4)


def test_pairs_that_are_all_equal_give_an_interval_of_no_width() -> None:
    estimate = ratio([300.0] * 12, [100.0] * 12)
    assert estimate is not None
    assert (estimate.low, estimate.high) == pytest.approx((3.0, 3.0))


def test_unequal_numbers_of_values_are_refused() -> None:
    with pytest.raises(ValueError, match="paired by round; got 3 of the baseline, 2 of the candidate"):
        ratio([1, 2, 3], [1, 2])


@given(times)
def test_the_interval_holds_the_estimate(values: list[float]) -> None:
    with warnings.catch_warnings(action="ignore"):
        estimate = level(values)
    assert estimate is not None
    assert estimate.low <= estimate.value * (1 + 1e-12)
    assert estimate.high >= estimate.value * (1 - 1e-12)


@given(times, st.floats(min_value=1e-3, max_value=1e3))
def test_a_unit_of_time_cancels_in_a_ratio(values: list[float], unit: float) -> None:
    one = ratio(values, [v * 2 for v in values])
    other = ratio([v * unit for v in values], [v * 2 * unit for v in values])
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(other.value) == pytest.approx(0.5)


def test_swapping_the_sides_inverts_estimate_and_interval() -> None:
    rng = np.random.default_rng(3)
    a, b = list(rng.lognormal(5, 0.05, 12)), list(rng.lognormal(6, 0.05, 12))
    forth, back = ratio(a, b), ratio(b, a)
    assert forth is not None
    assert back is not None
    assert back.value == pytest.approx(forth.inverse().value)
    # The bootstrap draws differ when the sign of the data does; t is symmetric, so the ends agree closely.
    assert (back.low, back.high) == pytest.approx((forth.inverse().low, forth.inverse().high), rel=5e-3)


def test_the_union_is_at_least_as_wide_as_student_t() -> None:
    values = np.random.default_rng(4).exponential(1.0, (50, 12))
    low, high = mean_interval(values, resamples=999)
    half = 2.200985 * values.std(axis=-1, ddof=1) / np.sqrt(12)
    assert np.all(low <= values.mean(axis=-1) - half + 1e-6)
    assert np.all(high >= values.mean(axis=-1) + half - 1e-6)


def test_a_skewed_sample_is_followed_further_up_than_student_t_goes() -> None:
    values = np.array([0.0] * 9 + [0.1, 0.2, 1.0])
    _, high = mean_interval(values)
    assert high > values.mean() + 2.200985 * values.std(ddof=1) / np.sqrt(12)


def test_the_same_samples_give_the_same_interval() -> None:
    values = np.random.default_rng(5).normal(0, 1, 12)
    assert mean_interval(values) == mean_interval(values)


def test_an_interval_of_one_value_is_refused_with_its_shape() -> None:
    with pytest.raises(ValueError, match=r"at least 2 values on the last axis; got shape \(1,\)"):
        mean_interval([1.0])


def test_the_ends_change_places_when_a_time_becomes_a_rate() -> None:
    rate = Estimate(value=2.0, low=1.0, high=4.0, count=5).inverse(8.0)
    assert (rate.value, rate.low, rate.high, rate.count) == (4.0, 2.0, 8.0, 5)


def test_half_width_is_relative_to_the_estimate() -> None:
    assert Estimate(value=10.0, low=9.0, high=11.0, count=5).half_width == pytest.approx(0.1)


def test_bonferroni_divides_the_error_among_the_workloads() -> None:
    assert bonferroni(0.95, 5) == pytest.approx(0.99)


def test_p95_needs_72_calls_at_95_percent() -> None:
    assert quantile_ranks(71, 0.95) is None
    assert quantile_ranks(72, 0.95) == (63, 71)


def test_the_median_of_100_has_the_tabulated_ranks() -> None:
    """Hahn and Meeker 1991, table A.15: order statistics 40 and 61, counted from one."""
    assert quantile_ranks(100, 0.5) == (39, 60)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
def test_order_statistics_cover_the_quantile_of_independent_calls(share: float) -> None:
    calls = np.sort(np.random.default_rng(6).exponential(1.0, (4000, 600)))
    ranks = quantile_ranks(600, share)
    assert ranks is not None
    true = -np.log(1 - share)
    assert ((calls[:, ranks[0]] <= true) & (true <= calls[:, ranks[1]])).mean() >= 0.945


def test_a_quantile_of_processes_that_differ_is_wider_than_their_pooled_calls_say() -> None:
    rng = np.random.default_rng(7)
    alike = [list(rng.normal(1000, 10, 60).astype(int)) for _ in range(6)]
    differing = [list(rng.normal(1000 + 100 * i, 10, 60).astype(int)) for i in range(6)]
    narrow, wide = quantile(alike, 0.95), quantile(differing, 0.95)
    assert narrow is not None
    assert wide is not None
    ranks = quantile_ranks(360, 0.95)
    assert ranks is not None
    pooled = np.sort(np.concatenate(differing))
    assert wide.low < pooled[ranks[0]]
    assert narrow.half_width < 0.02 < wide.half_width


@pytest.mark.parametrize("processes", [[], [[5] * 100], [[5] * 10, [6] * 10]])
def test_a_quantile_without_enough_calls_or_processes_is_none(processes: list[list[int]]) -> None:
    assert quantile(processes, 0.95) is None


@given(st.integers(min_value=1, max_value=2000), st.floats(min_value=0.5, max_value=0.99))
def test_ranks_enclose_the_quantile_and_never_leave_the_sample(n: int, share: float) -> None:
    ranks = quantile_ranks(n, share)
    if ranks is None:
        assert share**n > 0.025 or (1 - share) ** n > 0.025
    else:
        low, high = ranks
        assert 0 <= low <= n * share <= high + 1 <= n


def test_more_calls_narrow_the_ranks_relative_to_the_sample() -> None:
    widths = []
    for n in (100, 1_000, 10_000):
        ranks = quantile_ranks(n, 0.95)
        assert ranks is not None
        widths.append((ranks[1] - ranks[0]) / n)
    assert all(narrower < wider for wider, narrower in pairwise(widths))
