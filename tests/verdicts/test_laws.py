"""Laws that hold of any evidence."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, finding, judged, reading, with_times
from validation.evidence.record import Evidence
from validation.verdicts.verdict import Verdict

EVIDENCE = synthetic.evidence(times_us=TIMES)


def changed(**fields: Any) -> Evidence:
    return EVIDENCE.model_copy(update=fields)


_FAVOUR = {Verdict.IMPOSSIBLE: 0, Verdict.REFUTED: 1, Verdict.INCONCLUSIVE: 2, Verdict.CONFIRMED: 3}


@settings(max_examples=40, deadline=None)
@given(st.floats(min_value=0.1, max_value=500), st.floats(min_value=0.1, max_value=500))
def test_asking_for_more_never_makes_a_verdict_more_favourable(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert _FAVOUR[finding(reading(more), EVIDENCE).verdict] <= _FAVOUR[finding(reading(less), EVIDENCE).verdict]


@settings(max_examples=15, deadline=None)
@given(st.permutations([0, 1, 2]))
def test_the_order_of_the_evidence_makes_no_difference(order: list[int]) -> None:
    files = [EVIDENCE, with_times(13_000, machine="slow"), synthetic.gpu_evidence()]
    assert judged(claim(), *(files[index] for index in order)) == judged(claim(), *files)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_processes_in_a_file_makes_no_difference(random: Any) -> None:
    shuffled = list(EVIDENCE.processes)
    random.shuffle(shuffled)
    expected = finding(reading(1.2))
    got = finding(reading(1.2), changed(processes=tuple(shuffled)))
    assert got.model_copy(update={"evidence_sha256": expected.evidence_sha256}) == expected


@settings(max_examples=20, deadline=None)
@given(st.floats(min_value=9_300, max_value=40_000))
def test_a_verdict_that_is_confirmed_reaches_the_bound(candidate_us: float) -> None:
    found = finding(reading(1.2), with_times(candidate_us, pairs=5))
    assert found.interval is not None
    if found.verdict is Verdict.CONFIRMED:
        assert found.interval[0] >= 1.2 * 0.95
    if found.verdict is Verdict.REFUTED:
        assert found.interval[1] < 1.2 * 0.95
