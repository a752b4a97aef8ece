"""The rules of docs/METHOD.md section 4 in their order, each with evidence that it must catch."""

import itertools
from typing import Any

import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, finding, reading
from validation.correctness.case import Outcome
from validation.evidence.record import Evidence
from validation.performance.sample import Block, Role, apply_rule, probe_rule
from validation.performance.statistics import Estimate
from validation.verdicts.comparison import against_bound
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict

EVIDENCE = synthetic.evidence(times_us=TIMES)
ONE_CANDIDATE = tuple(one for one in EVIDENCE.processes if one.role is not Role.CANDIDATE_AGAIN)


def changed(**fields: Any) -> Evidence:
    return EVIDENCE.model_copy(update=fields)


def test_a_speedup_that_the_ceilings_cannot_give_is_impossible() -> None:
    found = finding(reading(382))
    assert (found.verdict, found.reason) == (Verdict.IMPOSSIBLE, Reason.BELOW_FLOOR)
    assert found.limit == pytest.approx(14_000 / 9_022, rel=0.05)
    assert found.explanation == (
        "On this machine the ceilings allow at most 1.62× over numpy_grouped; measured 1.40× [1.39, 1.42]. "
        "The claimed 382× needs 38.7 µs per call, and the floor is 9.02 ms."
    )


def test_what_is_just_within_the_floors_uncertainty_is_not_impossible() -> None:
    assert finding(reading(1.6)).verdict is Verdict.REFUTED
    assert finding(reading(1.75)).verdict is Verdict.IMPOSSIBLE


@pytest.mark.parametrize(
    ("metric", "requirement"),
    [
        ("tokens_per_s", {"at_least": 23_451_277}),
        ("gflop_per_s", {"at_least": 2155}),
        ("latency_us", {"at_most": 43.7}),
        ("p95_latency_us", {"at_most": 43.7}),
        ("floor_share", {"at_least": 1.5}),
        ("bandwidth_share", {"at_least": 150}),
    ],
)
def test_a_rate_above_the_ceiling_is_impossible_without_being_measured(
    metric: str, requirement: dict[str, float]
) -> None:
    nothing_ran = changed(processes=(), probe=None)
    found = finding(reading(metric=metric, requirement=requirement, baseline=None), nothing_ran)
    if not metric.endswith("share"):
        assert found.estimate is None
    assert found.verdict is Verdict.IMPOSSIBLE


def test_impossible_comes_before_wrong() -> None:
    wrong = changed(cases=(EVIDENCE.cases[0].model_copy(update={"outcome": Outcome.FAILED}),))
    assert finding(reading(382), wrong).verdict is Verdict.IMPOSSIBLE


def test_what_no_run_can_decide_is_not_tested_with_its_reason() -> None:
    found = finding(reading(1.2, untestable="nobody has one"))
    assert (found.verdict, found.reason) == (Verdict.NOT_TESTED, Reason.UNTESTABLE)
    assert "nobody has one" in found.explanation


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device": "cuda"}, Reason.NO_GPU),
        ({"workload": "seed-quick"}, Reason.WORKLOAD_NOT_RECORDED),
        ({"dtype": "bfloat16"}, Reason.WORKLOAD_NOT_RECORDED),
        ({"baseline": "torch_dense"}, Reason.BASELINE_NOT_MEASURED),
        ({"baseline": "strongest:cpp"}, Reason.BASELINE_NOT_MEASURED),
        ({"candidate": "torch_dense"}, Reason.CANDIDATE_NOT_MEASURED),
        ({"metric": "figure", "figure": "energy-j"}, Reason.FIGURE_NOT_RECORDED),
        (
            {
                "metric": "p95_latency_us",
                "baseline": None,
                "requirement": {"at_most": 20_000},
                "load": {"concurrency": 10},
            },
            Reason.LOAD_NOT_MEASURED,
        ),
    ],
)
def test_what_was_not_measured_is_not_tested_and_says_why(changes: dict[str, Any], reason: Reason) -> None:
    found = finding(reading(**changes))
    assert (found.verdict, found.reason, found.estimate) == (Verdict.NOT_TESTED, reason, None)


def failed_case() -> Evidence:
    return changed(cases=(*EVIDENCE.cases, EVIDENCE.cases[0].model_copy(update={"outcome": Outcome.FAILED})))


def failed_gate() -> Evidence:
    return changed(gates=(EVIDENCE.gates[0].model_copy(update={"outcome": Outcome.FAILED}),))


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (failed_case(), Reason.CORRECTNESS_FAILED),
        (failed_gate(), Reason.INTEGRITY_FAILED),
        (synthetic.evidence(times_us=TIMES, outputs_wrong=1), Reason.TIMED_OUTPUT_WRONG),
        (
            synthetic.evidence(times_us=TIMES, dead={(3, Role.CANDIDATE): "killed by SIGSEGV"}),
            Reason.PROCESS_DIED,
        ),
    ],
)
def test_a_wrong_or_dishonest_candidate_is_invalid_however_fast(evidence: Evidence, reason: Reason) -> None:
    found = finding(reading(1.2), evidence)
    assert (found.verdict, found.reason) == (Verdict.INVALID, reason)


def test_a_candidate_that_was_not_timed_because_it_is_wrong_is_invalid_and_not_untested() -> None:
    assert finding(reading(1.2), failed_case().model_copy(update={"processes": ()})).verdict is Verdict.INVALID


def test_a_failure_in_another_dtype_says_nothing_of_this_one() -> None:
    other = EVIDENCE.cases[0].model_copy(update={"outcome": Outcome.FAILED, "dtype": "bfloat16"})
    assert finding(reading(1.2), changed(cases=(*EVIDENCE.cases, other))).verdict is Verdict.CONFIRMED


def test_the_signal_that_ended_a_process_is_named() -> None:
    died = synthetic.evidence(times_us=TIMES, dead={(3, Role.CANDIDATE): "killed by SIGSEGV"})
    assert "killed by SIGSEGV" in finding(reading(1.2), died).explanation


def wrong_baseline() -> Evidence:
    processes = tuple(
        process.model_copy(
            update={
                "series": tuple(
                    series.model_copy(
                        update={
                            "blocks": (series.blocks[0].model_copy(update={"outputs_wrong": 1}), *series.blocks[1:])
                        }
                    )
                    if series.implementation == "numpy_grouped"
                    else series
                    for series in process.series
                )
            }
        )
        for process in EVIDENCE.processes
    )
    return changed(processes=processes)


def test_a_baseline_with_wrong_outputs_is_no_baseline() -> None:
    found = finding(reading(1.2), wrong_baseline())
    assert (found.verdict, found.reason) == (Verdict.INVALID, Reason.BASELINE_WRONG)


def with_neighbours(share: float) -> Evidence:
    """The cores reach in one block of fifty what they usually have a `share` of."""
    count = itertools.count()

    def probed(block: Block) -> Block:
        return block.model_copy(update={"probe_after": block.probe_after / share}) if next(count) % 25 == 0 else block

    processes = tuple(
        process.model_copy(
            update={
                "series": tuple(
                    series.model_copy(update={"blocks": tuple(map(probed, series.blocks))}) for series in process.series
                )
            }
        )
        for process in EVIDENCE.processes
    )
    rule = probe_rule(processes)
    assert rule is not None
    return changed(processes=tuple(apply_rule(processes, rule)), probe=rule)


@pytest.mark.parametrize(("share", "reason"), [(0.8, Reason.CORES_SHARED), (0.95, Reason.BOUND_MET)])
def test_a_share_of_the_limit_is_not_told_of_cores_that_neighbours_have_part_of(share: float, reason: Reason) -> None:
    assert finding(reading(0.5, metric="floor_share", baseline=None), with_neighbours(share)).reason == reason
    # What is compared with others has the same neighbours as they.
    assert finding(reading(1.2), with_neighbours(share)).reason == Reason.BOUND_MET


@pytest.mark.parametrize("outcome", [Outcome.MISTRUSTED, None])
def test_no_speed_is_confirmed_without_a_correctness_pass(outcome: Outcome | None) -> None:
    cases = () if outcome is None else tuple(c.model_copy(update={"outcome": outcome}) for c in EVIDENCE.cases)
    found = finding(reading(1.2), changed(cases=cases))
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, Reason.CORRECTNESS_NOT_CHECKED)


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (synthetic.evidence(times_us=TIMES, pairs=4), Reason.TOO_FEW_PAIRS),
        (synthetic.evidence(times_us=TIMES, aa_bias=1.1), Reason.NULL_DIFFERS),
        (synthetic.evidence(times_us=TIMES, process_noise=0.15), Reason.INTERVAL_TOO_WIDE),
        (changed(processes=ONE_CANDIDATE, probe=probe_rule(ONE_CANDIDATE)), Reason.NO_NULL),
    ],
)
def test_thin_or_noisy_evidence_decides_nothing(evidence: Evidence, reason: Reason) -> None:
    found = finding(reading(1.2), evidence)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize(
    ("at_least", "verdict"), [(0.5, Verdict.CONFIRMED), (1.3, Verdict.INCONCLUSIVE), (3.0, Verdict.REFUTED)]
)
def test_a_wide_interval_decides_what_lies_beyond_twice_its_width(at_least: float, verdict: Verdict) -> None:
    wide = Estimate(value=1.6, low=1.4, high=1.83, count=12)
    assert against_bound(wide, at_least, None, 0.05) is verdict


def test_a_wide_interval_that_just_clears_the_bound_decides_nothing() -> None:
    noisy = synthetic.evidence(times_us=TIMES, process_noise=0.15)
    low = finding(reading(0.5), noisy).interval
    assert low is not None
    found = finding(reading(low[0] / 0.95 * 0.99), noisy)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, Reason.INTERVAL_TOO_WIDE)


def test_a_dead_baseline_process_costs_its_pair_and_no_more() -> None:
    evidence = synthetic.evidence(times_us=TIMES, dead={(3, Role.BASELINES): "time limit"})
    found = finding(reading(1.2), evidence)
    assert (found.verdict, found.pairs) == (Verdict.CONFIRMED, 11)


def test_the_discarded_round_counts_for_nothing() -> None:
    assert finding(reading(1.2)).pairs == 12


@pytest.mark.parametrize(
    ("at_least", "verdict"),
    [(1.2, Verdict.CONFIRMED), (1.4, Verdict.CONFIRMED), (1.55, Verdict.REFUTED)],
)
def test_at_least_is_confirmed_within_five_percent_and_refuted_beyond(at_least: float, verdict: Verdict) -> None:
    """The truth is 1.4; 1.4 x 0.95 = 1.33 is what is tested."""
    assert finding(reading(at_least)).verdict is verdict


def test_a_bound_inside_the_interval_is_inconclusive() -> None:
    found = finding(reading(1.2))
    assert found.interval is not None
    inside = finding(reading((found.interval[0] + found.interval[1]) / 2 / 0.95))
    assert (inside.verdict, inside.reason) == (Verdict.INCONCLUSIVE, Reason.BOUND_INSIDE_INTERVAL)


@pytest.mark.parametrize(("at_most", "verdict"), [(12_000, Verdict.CONFIRMED), (9_500, Verdict.REFUTED)])
def test_a_latency_is_confirmed_from_below(at_most: float, verdict: Verdict) -> None:
    latency = reading(metric="latency_us", requirement={"at_most": at_most}, baseline=None)
    assert finding(latency, synthetic.evidence(times_us=TIMES, drift=0.0)).verdict is verdict


def test_a_range_tests_its_lower_end_and_notes_when_it_is_exceeded() -> None:
    within = finding(reading(requirement={"at_least": 1.2, "up_to": 1.5}))
    beyond = finding(reading(requirement={"at_least": 1.1, "up_to": 1.2}))
    assert (within.verdict, within.reason) == (Verdict.CONFIRMED, Reason.BOUND_MET)
    assert (beyond.verdict, beyond.reason) == (Verdict.CONFIRMED, Reason.EXCEEDS_RANGE)


def test_what_its_author_set_himself_is_judged_without_tolerance() -> None:
    bound = reading(1.42)
    assert finding(bound).verdict is Verdict.CONFIRMED
    assert finding(bound, promise=True).verdict is not Verdict.CONFIRMED
    assert finding(bound, target=True).verdict is not Verdict.CONFIRMED


def test_two_pairs_give_an_estimate_and_no_interval() -> None:
    # Student's t of two values spans factors of millions: not a number that anybody should have to read.
    found = finding(reading(1.2), synthetic.evidence(times_us=TIMES, pairs=2))
    assert (found.verdict, found.reason, found.pairs) == (Verdict.INCONCLUSIVE, Reason.TOO_FEW_PAIRS, 2)
    assert found.estimate == pytest.approx(1.39, rel=0.1)
    assert (found.interval, found.confidence) == (None, None)


def test_a_share_of_memorys_bandwidth_is_bytes_over_time_over_what_memory_delivers() -> None:
    found = finding(reading(0.01, metric="bandwidth_share", baseline=None))
    workload = EVIDENCE.workloads[0]
    assert found.estimate == pytest.approx(workload.min_bytes / 34.8e9 / 10_000e-6, rel=0.05)
    only_caches = changed(ceilings=tuple(one for one in EVIDENCE.ceilings if one.level != "DRAM"))
    assert finding(reading(0.01, metric="bandwidth_share", baseline=None), only_caches).estimate is None
