"""Evidence whose acceptance does not follow from its probes."""

from typing import Any

import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, finding, judged, reading
from validation.evidence.record import Evidence
from validation.performance.sample import ProbeRule, Role
from validation.usage import UsageError

EVIDENCE = synthetic.evidence(times_us=TIMES)


def changed(**fields: Any) -> Evidence:
    return EVIDENCE.model_copy(update=fields)


def flipped() -> Evidence:
    """The stolen blocks of the baseline, twice as slow, declared good."""
    processes = tuple(
        process.model_copy(
            update={
                "series": tuple(
                    series.model_copy(
                        update={"blocks": tuple(b.model_copy(update={"accepted": True}) for b in series.blocks)}
                    )
                    for series in process.series
                )
            }
        )
        for process in EVIDENCE.processes
    )
    return changed(processes=processes)


@pytest.mark.parametrize(
    ("evidence", "rule"),
    [
        (flipped(), "accepted must be False by its probes"),
        (changed(probe=ProbeRule(share=0.5, usual_flop_per_s=synthetic.PROBE_USUAL)), "share must be 0.8"),
        (changed(probe=ProbeRule(others=0.5, usual_flop_per_s=synthetic.PROBE_USUAL)), "others must be 0.02"),
        (changed(probe=ProbeRule(usual_flop_per_s=1e9)), "must be the usual probe"),
        (changed(probe=ProbeRule(usual_flop_per_s=1e12)), "must be the usual probe"),
        (
            changed(probe=ProbeRule(at_usual_speed=False, usual_flop_per_s=synthetic.PROBE_USUAL)),
            "at_usual_speed must be True",
        ),
    ],
)
def test_acceptance_that_does_not_follow_from_the_probes_is_refused(evidence: Evidence, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        judged(claim(), evidence)


def test_the_samples_digest_changes_with_a_sample() -> None:
    blocks = EVIDENCE.processes[3].series[0].blocks
    first = blocks[0].model_copy(update={"calls_ns": (blocks[0].calls_ns[0] - 1, *blocks[0].calls_ns[1:])})
    process = EVIDENCE.processes[3]
    series = process.series[0].model_copy(update={"blocks": (first, *blocks[1:])})
    moved = process.model_copy(update={"series": (series, *process.series[1:])})
    other = changed(processes=(*EVIDENCE.processes[:3], moved, *EVIDENCE.processes[4:]))
    subjects = {Role.CANDIDATE: reading(metric="latency_us", requirement={"at_most": 1e5}, baseline=None)}
    asked = subjects.get(
        process.role,
        reading(candidate=series.implementation, metric="tokens_per_s", requirement={"at_least": 1}, baseline=None),
    )
    if process.role is not Role.CANDIDATE_AGAIN:
        assert finding(asked).samples_sha256 != finding(asked, other).samples_sha256
