"""The shipped claims on evidence with the study's figures."""

import pytest

from tests import synthetic
from tests.verdicts.judging import Recorded
from validation.claims.load import OWN_CLAIMS, SEED_CLAIMS, load_claims
from validation.verdicts.judge import judge
from validation.verdicts.verdict import Verdict


@pytest.fixture(scope="module")
def shipped() -> dict[tuple[str, str, str], Verdict]:
    evidences = [Recorded(evidence=synthetic.evidence()), Recorded(evidence=synthetic.gpu_evidence())]
    verdicts = judge([load_claims(SEED_CLAIMS), load_claims(OWN_CLAIMS)], evidences, synthetic.SUITE)
    return {(one.claim, one.reading, one.machine): one.verdict for one in verdicts.findings}


def test_every_published_claim_has_a_finding(shipped: dict[tuple[str, str, str], Verdict]) -> None:
    judged_claims = {name for name, _, _ in shipped}
    assert judged_claims == {one.id for file in (SEED_CLAIMS, OWN_CLAIMS) for one in load_claims(file).claims}


@pytest.mark.parametrize(
    ("claimed", "of", "machine", "verdict"),
    [
        ("numpy-speedup", "cpu-grouped", "zen4-2core", Verdict.IMPOSSIBLE),
        ("numpy-speedup", "cpu-as-published", "zen4-2core", Verdict.IMPOSSIBLE),
        ("numpy-speedup", "cpu-per-token", "zen4-2core", Verdict.IMPOSSIBLE),
        ("numpy-speedup", "gpu-against-host-grouped", "zen4-2core", Verdict.NOT_TESTED),
        ("numpy-speedup", "gpu-against-host-grouped", "h200-host", Verdict.CONFIRMED),
        ("baseline-speedup", "cpu-strongest", "zen4-2core", Verdict.IMPOSSIBLE),
        ("baseline-speedup", "gpu-strongest", "h200-host", Verdict.CONFIRMED),
        ("own-cpu-torch", "seed-claim", "zen4-2core", Verdict.CONFIRMED),
    ],
)
def test_the_published_claims_come_out_as_the_studys_figures_say(
    claimed: str, of: str, machine: str, verdict: Verdict, shipped: dict[tuple[str, str, str], Verdict]
) -> None:
    assert shipped[claimed, of, machine] is verdict
