"""A kernel whose clock leaves a part of its calls out is convicted by what passed beside them, and no honest one."""

import numpy as np
import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged
from validation.evidence.record import Evidence
from validation.performance.sample import Block, ProcessRun, Role, Series
from validation.performance.unclocked import Unclocked
from validation.verdicts.hidden import hides_time
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict

#: What passes beside a call where inputs and outputs are a megabyte each, ns.
PRICE_NS = 900_000

#: A candidate whose calls stay possible with a part of them left out.
SLOW = {"seed-claim": {**TIMES["seed-claim"], synthetic.CANDIDATE: 16_000.0}}


def hiding(share: float, seed: int = 0, spread: float = 0.1, role: Role | None = None, pairs: int = 12) -> Evidence:
    """Evidence in which the clock of the candidate, or of `role`, leaves this share out; prices `spread` so widely."""
    evidence, chance = synthetic.evidence(times_us=SLOW, seed=seed, pairs=pairs), np.random.default_rng(seed)

    def shaved(process: ProcessRun, block: Block) -> Block:
        price = int(PRICE_NS * len(block.calls_ns) * np.exp(chance.normal(0.0, spread)))
        parent_ns = sum(block.calls_ns) + price
        ours = (process.role is Role.BASELINES) is (role is Role.BASELINES)
        calls = tuple(int(ns * (1 - share)) for ns in block.calls_ns) if ours else block.calls_ns
        return block.model_copy(update={"calls_ns": calls, "parent_ns": parent_ns})

    return synthetic.with_blocks(evidence, shaved)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_a_clock_that_leaves_a_share_out_is_found(share: float) -> None:
    found = hides_time(hiding(share), synthetic.CANDIDATE)
    assert "as long as their clock tells" in found
    assert "in 24 processes" in found


def test_its_findings_are_invalid() -> None:
    (finding,) = judged(claim(), hiding(0.1)).findings
    assert finding.verdict is Verdict.INVALID
    assert finding.reason == Reason.TIME_HIDDEN
    assert "has a clock that leaves time out" in finding.explanation


def test_a_baseline_is_trusted_and_makes_no_candidate_look_dishonest() -> None:
    assert not hides_time(hiding(0.1, role=Role.BASELINES), "numpy_grouped")
    assert not hides_time(hiding(0.1, role=Role.BASELINES), synthetic.CANDIDATE)


def test_of_a_few_rounds_nothing_is_said() -> None:
    assert not hides_time(hiding(0.1, pairs=2), synthetic.CANDIDATE)


def test_no_honest_kernel_is_accused() -> None:
    # What passes beside a call spread by a quarter among processes of two busy cores.
    assert not any(hides_time(hiding(0.0, seed=seed, spread=0.25), synthetic.CANDIDATE) for seed in range(100))


def unclocked(share: float, seed: int = 0, colder_ns: int = 0) -> Evidence:
    """Evidence of short calls that the parent alone timed too, of which the candidate's clock leaves this share out."""
    evidence, chance = synthetic.evidence(times_us=SHORT, seed=seed, pairs=12), np.random.default_rng(seed)

    def beside(process: ProcessRun) -> ProcessRun:
        return process.model_copy(update={"series": tuple(with_unclocked(one, process.role) for one in process.series)})

    def with_unclocked(series: Series, role: Role) -> Series:
        blocks = []
        ours = role is not Role.BASELINES
        for block in [*series.blocks] * 3:
            told_ns = float(np.mean(block.calls_ns)) * float(np.exp(chance.normal(0.0, 0.1)))
            true_ns = told_ns / (1 - share * ours) + colder_ns * ours
            took_ns = max(int(64 * (true_ns + 10_000 + chance.normal(0.0, 40_000))), 1)
            told = {"clocked_ns": int(64 * told_ns), "asking_ns": 64 * 10_000}
            blocks.append(Unclocked(calls=64, parent_ns=took_ns, **told))
        return series.model_copy(update={"unclocked": tuple(blocks)})

    return evidence.model_copy(update={"processes": tuple(beside(process) for process in evidence.processes)})


#: Calls on one token: what passes beside those that are timed says nothing of them.
SHORT = {"seed-claim": dict.fromkeys(TIMES["seed-claim"], 100.0)}


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_a_clock_that_is_wrong_of_short_calls_is_found_by_those_without_one(share: float) -> None:
    assert "as long as their clock tells" in hides_time(unclocked(share), synthetic.CANDIDATE)


def test_no_honest_kernel_of_short_calls_is_accused() -> None:
    # It leaves colder caches than those in which asking was priced.
    assert not any(hides_time(unclocked(0.0, seed, colder_ns=35_000), synthetic.CANDIDATE) for seed in range(100))
