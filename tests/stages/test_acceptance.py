"""What a run's exit status says of promises and of targets that are not met."""

import pytest

from tests.synthetic import evidence
from tests.verdicts.judging import TIMES, claim, judged, reading
from validation.stages.acceptance import objections
from validation.verdicts.verdict import Verdict


@pytest.mark.parametrize(("own", "objects"), [({"promise": True}, 1), ({"target": True}, 0), ({}, 0)])
def test_only_a_promise_that_is_broken_is_an_objection(own: dict[str, bool], objects: int) -> None:
    recorded = evidence(times_us=TIMES)
    verdicts = judged(claim(reading(1.55), **own), recorded)
    assert [one.verdict for one in verdicts.findings] == [Verdict.REFUTED]
    assert len(objections([recorded], verdicts)) == objects
