"""Several readings, machines and files."""

import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged, reading, with_times
from validation.usage import UsageError
from validation.verdicts.verdict import Verdict

EVIDENCE = synthetic.evidence(times_us=TIMES)


def test_intervals_widen_with_the_workloads_of_a_claim() -> None:
    alone = judged(claim(reading()), EVIDENCE).findings[0]
    among = judged(claim(reading(), reading(id="q", strict=False, workload="seed-quick")), EVIDENCE).findings[0]
    assert alone.confidence == pytest.approx(0.95)
    assert among.confidence == pytest.approx(0.975)
    assert alone.interval is not None
    assert among.interval is not None
    assert among.interval[0] < alone.interval[0] < alone.interval[1] < among.interval[1]


def test_the_headline_is_the_strict_reading() -> None:
    verdicts = judged(claim(reading(382), reading(1.2, id="easy", strict=False)), EVIDENCE)
    assert verdicts.claims[0].verdict is Verdict.IMPOSSIBLE
    assert {one.reading: one.verdict for one in verdicts.findings}["easy"] is Verdict.CONFIRMED


def test_every_machine_has_its_own_finding_and_the_headline_is_the_least_favourable() -> None:
    slow = with_times(13_000, machine="slow")
    verdicts = judged(claim(reading(1.3)), EVIDENCE, slow)
    assert {one.machine: one.verdict for one in verdicts.findings} == {
        "zen4-2core": Verdict.CONFIRMED,
        "slow": Verdict.REFUTED,
    }
    assert verdicts.claims[0].verdict is Verdict.REFUTED


def test_a_gpu_is_judged_from_its_own_evidence() -> None:
    gpu = reading(382, device="cuda", dtype="bfloat16", baseline_device="cpu", baseline_dtype="float32")
    verdicts = judged(claim(gpu), EVIDENCE, synthetic.gpu_evidence())
    assert {one.machine: (one.verdict, one.baseline) for one in verdicts.findings} == {
        "h200-host": (Verdict.CONFIRMED, "numpy_grouped"),
        "zen4-2core": (Verdict.NOT_TESTED, "numpy_grouped"),
    }


def test_two_runs_of_one_machine_do_not_report_what_the_other_measured_as_missing() -> None:
    quick = synthetic.evidence(times_us={"seed-quick": synthetic.CPU_TIMES_US["seed-quick"]}, seed=5)
    verdicts = judged(claim(reading(1.2)), EVIDENCE, quick)
    assert [one.verdict for one in verdicts.findings] == [Verdict.CONFIRMED]


def test_the_same_evidence_twice_counts_once() -> None:
    verdicts = judged(claim(), EVIDENCE, EVIDENCE)
    assert (len(verdicts.evidence), len(verdicts.findings)) == (1, 1)


def test_two_machines_under_one_name_are_refused() -> None:
    other = EVIDENCE.model_copy(
        update={"environment": EVIDENCE.environment.model_copy(update={"fingerprint": "f" * 64}), "run_id": "other"}
    )
    with pytest.raises(UsageError, match="one name must be one machine"):
        judged(claim(), EVIDENCE, other)
