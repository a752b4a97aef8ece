import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, finding, reading
from validation.claims.claim import Reading
from validation.evidence.record import Evidence
from validation.performance.figure import Figure
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict

EVIDENCE = synthetic.evidence(times_us=TIMES)


def figure(*samples: float, name: str = "demo-s", implementation: str = "", workload: str = "") -> Figure:
    return Figure(
        name=name, samples=samples, implementation=implementation, workload=workload, method="the parent's clock"
    )


def with_figures(*figures: Figure) -> Evidence:
    return EVIDENCE.model_copy(update={"figures": figures})


def within(at_most: float) -> Reading:
    return reading(metric="figure", figure="demo-s", requirement={"at_most": at_most}, baseline=None)


@pytest.mark.parametrize(("at_most", "verdict"), [(120, Verdict.CONFIRMED), (60, Verdict.REFUTED)])
def test_a_figure_is_judged_on_its_own_samples(at_most: float, verdict: Verdict) -> None:
    found = finding(within(at_most), with_figures(figure(80, 81, 80, 79, 80)))
    assert (found.verdict, found.metric, found.pairs) == (verdict, "figure:demo-s", 5)
    assert found.estimate == pytest.approx(80, rel=0.01)
    assert found.samples_sha256 is not None


def test_a_figure_taken_once_decides_nothing() -> None:
    found = finding(within(120), with_figures(figure(80)))
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, Reason.TOO_FEW_PAIRS)


@pytest.mark.parametrize(("seconds", "verdict"), [(80, Verdict.CONFIRMED), (200, Verdict.REFUTED)])
def test_how_long_this_very_run_took_needs_no_second_run(seconds: float, verdict: Verdict) -> None:
    once = figure(seconds).model_copy(update={"exact": True})
    found = finding(within(120), with_figures(once))
    assert (found.verdict, found.estimate, found.interval) == (verdict, seconds, (seconds, seconds))


def test_a_figure_that_could_not_be_taken_says_why() -> None:
    unread = EVIDENCE.model_copy(update={"left_out": ("figure demo-s: the clock is broken",)})
    found = finding(within(120), unread)
    assert (found.verdict, found.reason) == (Verdict.NOT_TESTED, Reason.FIGURE_NOT_RECORDED)
    assert found.explanation.endswith("'demo-s': the clock is broken.")


def test_a_figure_that_scatters_decides_nothing() -> None:
    found = finding(within(120), with_figures(figure(40, 80, 160, 20, 90)))
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, Reason.INTERVAL_TOO_WIDE)


@pytest.mark.parametrize(
    "other",
    [
        figure(1, 1, 1, 1, 1, name="demo-ms"),
        figure(1, 1, 1, 1, 1, implementation="numpy_grouped"),
        figure(1, 1, 1, 1, 1, workload="seed-quick"),
    ],
)
def test_a_figure_of_something_else_is_not_taken(other: Figure) -> None:
    assert finding(within(120), with_figures(other)).reason == Reason.FIGURE_NOT_RECORDED


def test_a_figure_may_be_compared_with_a_baselines() -> None:
    energy = reading(7, metric="figure", figure="energy-j", baseline="numpy_grouped")
    own = figure(1.0, 1.01, 1.0, 0.99, 1.0, name="energy-j", implementation=synthetic.CANDIDATE)
    theirs = figure(8.0, 8.1, 8.0, 7.9, 8.0, name="energy-j", implementation="numpy_grouped")
    found = finding(energy, with_figures(own, theirs))
    assert found.verdict is Verdict.CONFIRMED
    assert found.estimate == pytest.approx(8.0, rel=0.01)
    assert finding(energy, with_figures(own)).reason == Reason.FIGURE_NOT_RECORDED


def test_a_figure_of_a_wrong_kernel_is_invalid() -> None:
    wrong = synthetic.evidence(times_us=TIMES, outputs_wrong=1).model_copy(
        update={"figures": (figure(80, 81, 80, 79, 80),)}
    )
    assert finding(within(120), wrong).verdict is Verdict.INVALID


@pytest.mark.parametrize(
    ("name", "expected"), [("prepare-s", 0.005), ("prepare-bytes", 8 << 20), ("first-call-s", 0.015)]
)
def test_what_a_process_notes_of_its_beginning_is_a_figure(name: str, expected: float) -> None:
    found = finding(reading(metric="figure", figure=name, requirement={"at_most": 1e9}, baseline=None), EVIDENCE)
    assert (found.verdict, found.pairs) == (Verdict.CONFIRMED, EVIDENCE.pairs_planned)
    assert found.estimate == pytest.approx(expected, rel=0.1)


def test_the_beginning_may_be_compared_with_a_baselines() -> None:
    one = reading(0.5, metric="figure", figure="prepare-s", baseline="numpy_grouped")
    assert finding(one, EVIDENCE).verdict is Verdict.CONFIRMED
