"""A kernel that spoils the blocks with unseen tokens is convicted, no honest one is; without them none is confirmed."""

from collections.abc import Callable

import numpy as np
import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged
from validation.evidence.record import Evidence
from validation.performance.sample import (
    CLOCK_DISAGREES,
    CORES_EXCEEDED,
    OTHERS_RAN,
    WORKER_RAN,
    Block,
    ProcessRun,
    Role,
)
from validation.verdicts.reasons import Reason
from validation.verdicts.spoilt import spoils_unseen
from validation.verdicts.verdict import Verdict

#: Why a block does not count, or nothing: by its process's number, whether it has unseen tokens, and a draw below 1.
Spoils = Callable[[int, bool, float], str]


def spoiling(spoils: Spoils, seed: int = 0, share: Callable[[int], float] = lambda _number: 0.3) -> Evidence:
    """Evidence in which this share of the candidate's blocks holds unseen tokens; `spoils` says which do not count."""
    evidence, chance = synthetic.evidence(times_us=TIMES, seed=seed, rejected=0.0), np.random.default_rng(seed)
    ours = [process for process in evidence.processes if process.role is not Role.BASELINES]
    numbers = {id(process): number for number, process in enumerate(ours)}

    def spoilt(process: ProcessRun, block: Block) -> Block:
        number = numbers.get(id(process))
        if number is None:
            return block
        unseen = (3,) if chance.random() < share(number) else ()
        reason = spoils(number, bool(unseen), chance.random())
        others = 0.4 if reason == OTHERS_RAN else block.others_share
        changed = {"unseen": unseen, "accepted": not reason, "reason": reason, "others_share": others}
        return block.model_copy(update=changed)

    return synthetic.with_blocks(evidence, spoilt)


@pytest.mark.parametrize("reason", [CLOCK_DISAGREES, WORKER_RAN, CORES_EXCEEDED])
def test_a_kernel_that_spoils_every_block_with_unseen_tokens_is_found(reason: str) -> None:
    found = spoils_unseen(spoiling(lambda _number, unseen, _draw: reason if unseen else ""), synthetic.CANDIDATE)
    assert "timed blocks on seed-claim in float32 (cpu) with tokens that nobody had seen did not count" in found
    assert "and 0 of" in found


def test_one_that_spoils_others_as_well_and_not_in_every_process_is_found() -> None:
    evidence = spoiling(lambda number, unseen, draw: CLOCK_DISAGREES if number % 3 and (unseen or draw < 0.2) else "")
    assert spoils_unseen(evidence, synthetic.CANDIDATE)


def test_its_findings_are_invalid() -> None:
    (finding,) = judged(claim(), spoiling(lambda _number, unseen, _draw: CLOCK_DISAGREES if unseen else "")).findings
    assert finding.verdict is Verdict.INVALID
    assert finding.reason == Reason.UNSEEN_SPOILT
    assert "spoils the blocks that would tell on it" in finding.explanation


def test_two_blocks_are_no_evidence() -> None:
    evidence = spoiling(lambda number, unseen, _draw: CLOCK_DISAGREES if unseen and number in {4, 9} else "")
    assert not spoils_unseen(evidence, synthetic.CANDIDATE)


def test_a_baseline_is_trusted() -> None:
    evidence = spoiling(lambda _number, unseen, _draw: CLOCK_DISAGREES if unseen else "")
    assert not spoils_unseen(evidence, "numpy_grouped")


def test_no_honest_kernel_is_accused() -> None:
    # Three blocks in ten do not count, whatever their tokens.
    for seed in range(100):
        evidence = spoiling(lambda _number, _unseen, draw: CLOCK_DISAGREES if draw < 0.3 else "", seed)
        assert not spoils_unseen(evidence, synthetic.CANDIDATE)


def test_processes_in_which_both_are_frequent_accuse_nobody() -> None:
    # Every third process is disturbed, and has shorter series, of which more calls are on unseen tokens. All processes
    # taken together, 35 of these 50 would be accused.
    for seed in range(50):
        evidence = spoiling(
            lambda number, _unseen, draw: CLOCK_DISAGREES if number % 3 == 0 and draw < 0.6 else "",
            seed,
            lambda number: 0.2 if number % 3 else 0.8,
        )
        assert not spoils_unseen(evidence, synthetic.CANDIDATE)


def left_out(kept: int) -> Evidence:
    """Evidence in which strangers ran beside every block with unseen tokens, but for so many processes."""
    return spoiling(lambda number, unseen, _draw: OTHERS_RAN if unseen and number >= 2 + kept else "", share=_often)


def _often(number: int) -> float:
    # The discarded round's two come first. Of those after it the first hold unseen tokens for certain.
    return 1.0 if number < 5 else 0.3


def test_nothing_is_decided_where_no_call_on_unseen_tokens_counts() -> None:
    (finding,) = judged(claim(), left_out(0)).findings
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == Reason.UNSEEN_NOT_COUNTED
    assert "processes with calls that count 0 had any on tokens that nobody had seen" in finding.explanation


@pytest.mark.parametrize(("kept", "verdict"), [(2, Verdict.INCONCLUSIVE), (3, Verdict.CONFIRMED)])
def test_three_processes_in_which_one_counts_are_enough(kept: int, verdict: Verdict) -> None:
    (finding,) = judged(claim(), left_out(kept)).findings
    assert finding.verdict is verdict


def test_evidence_without_unseen_tokens_is_judged_as_ever() -> None:
    evidence = spoiling(lambda _number, _unseen, draw: OTHERS_RAN if draw < 0.3 else "", share=lambda _number: 0.0)
    (finding,) = judged(claim(), evidence).findings
    assert finding.verdict is Verdict.CONFIRMED
