"""A latency claimed under a load is judged on requests under that load, and on nothing else."""

import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, finding, reading
from validation.claims.claim import Load, Reading
from validation.evidence.record import Evidence
from validation.performance.load import LoadRun
from validation.usage import UsageError
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict

EVIDENCE = synthetic.evidence(times_us=TIMES)
TEN = Load(concurrency=10)


def requests(turn: int, latency_us: float = 100_000.0, **changed: object) -> LoadRun:
    """40 requests of one process, the slowest a percent above the rest."""
    best = EVIDENCE.probe.usual_flop_per_s if EVIDENCE.probe else 1.0
    given: dict[str, object] = {
        "implementation": synthetic.CANDIDATE,
        "workload": "seed-claim",
        "dtype": "float32",
        "device": "cpu",
        "load": TEN,
        "round": turn,
        "probe_before": best,
        "probe_after": best,
        "accepted": True,
        "parent_ns": 10**12,
        "latencies_ns": tuple(int(latency_us * 1000 * (1 + i / 4000)) for i in range(40)),
    }
    return LoadRun.model_validate(given | changed)


def with_loads(*runs: LoadRun) -> Evidence:
    return EVIDENCE.model_copy(update={"loads": runs})


def within(at_most_us: float, load: Load = TEN) -> Reading:
    return reading(metric="p95_latency_us", requirement={"at_most": at_most_us}, baseline=None, load=load)


@pytest.mark.parametrize(("at_most", "verdict"), [(120_000, Verdict.CONFIRMED), (60_000, Verdict.REFUTED)])
def test_a_quantile_under_load_is_judged_on_its_requests(at_most: float, verdict: Verdict) -> None:
    found = finding(within(at_most), with_loads(*(requests(turn) for turn in range(1, 7))))
    assert (found.verdict, found.pairs) == (verdict, 6)
    assert found.estimate == pytest.approx(101_000, rel=0.01)
    assert found.samples_sha256 is not None


def test_calls_one_after_the_other_say_nothing_of_a_load() -> None:
    assert finding(within(120_000), EVIDENCE).reason == Reason.LOAD_NOT_MEASURED


def test_requests_under_another_load_say_nothing() -> None:
    runs = with_loads(*(requests(turn) for turn in range(1, 7)))
    assert finding(within(120_000, Load(concurrency=4)), runs).reason == Reason.LOAD_NOT_MEASURED


def test_requests_beside_a_slow_probe_do_not_count() -> None:
    slow = (requests(turn, probe_after=1.0, accepted=False) for turn in range(1, 7))
    assert finding(within(120_000), with_loads(*slow)).reason == Reason.LOAD_NOT_MEASURED


def test_a_wrong_answer_under_load_makes_every_time_invalid() -> None:
    runs = with_loads(*(requests(turn, outputs_wrong=int(turn == 3)) for turn in range(1, 7)))
    assert (found := finding(reading(), runs)).verdict is Verdict.INVALID
    assert found.reason == Reason.TIMED_OUTPUT_WRONG


def test_requests_marked_as_accepted_against_their_probes_are_refused() -> None:
    with pytest.raises(UsageError, match="the requests of round 1 on seed-claim: accepted must be False"):
        finding(within(120_000), with_loads(requests(1, probe_after=1.0)))
