"""A kernel that does some calls' work in others of their block is convicted by its mean, and no honest one."""

import numpy as np
import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged
from validation.evidence.record import Evidence
from validation.performance.sample import Block, ProcessRun, Role
from validation.verdicts.reasons import Reason
from validation.verdicts.shifted import shifts_work
from validation.verdicts.verdict import Verdict

#: A candidate whose calls stay possible with a third of their work moved away.
SLOW = {"seed-claim": {**TIMES["seed-claim"], synthetic.CANDIDATE: 16_000.0}}


def shifting(share: float, seed: int = 0, noise: float = 0.02, role: Role | None = None) -> Evidence:
    """Evidence in which one of three calls does this share of the other two, of the candidate alone or of `role`."""
    evidence = synthetic.evidence(times_us=SLOW, seed=seed, call_noise=noise)

    def moved(process: ProcessRun, block: Block) -> Block:
        ours = (process.role is Role.BASELINES) is (role is Role.BASELINES)
        return _moved(block, share) if ours else block

    return synthetic.with_blocks(evidence, moved)


def _moved(block: Block, share: float) -> Block:
    count = len(block.calls_ns)
    calls = list(block.calls_ns)
    for first in range(0, count, 3):
        others = range(first + 1, min(first + 3, count))
        for place in others:
            moved = int(calls[place] * share)
            calls[place] -= moved
            calls[first] += moved
    return block.model_copy(update={"calls_ns": tuple(calls), "parent_ns": sum(calls) + 200_000})


@pytest.mark.parametrize("share", [0.2, 0.34])
def test_a_kernel_that_works_ahead_within_blocks_is_found(share: float) -> None:
    assert "some calls do the work of others" in shifts_work(shifting(share), synthetic.CANDIDATE)


def test_its_findings_are_invalid() -> None:
    (finding,) = judged(claim(), shifting(0.34)).findings
    assert finding.verdict is Verdict.INVALID
    assert finding.reason == Reason.WORK_SHIFTED
    assert "moves work from call to call" in finding.explanation


def test_a_baseline_is_trusted() -> None:
    assert not shifts_work(shifting(0.34, role=Role.BASELINES), "numpy_grouped")


def test_no_honest_kernel_is_accused() -> None:
    # Calls that spread by 15 %, as beside busy strangers, and one in twelve that a stranger made three times as long.
    accused = 0
    for seed in range(200):
        evidence = shifting(0.0, seed=seed, noise=0.15)
        chance = np.random.default_rng(seed)

        def disturbed(_: ProcessRun, block: Block, chance: np.random.Generator = chance) -> Block:
            return _disturbed(block, chance)

        accused += bool(shifts_work(synthetic.with_blocks(evidence, disturbed), synthetic.CANDIDATE))
    assert accused == 0


def _disturbed(block: Block, chance: np.random.Generator) -> Block:
    calls = tuple(int(ns * (3 if chance.random() < 1 / 12 else 1)) for ns in block.calls_ns)
    return block.model_copy(update={"calls_ns": calls, "parent_ns": sum(calls) + 200_000})
