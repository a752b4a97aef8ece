"""Timed calls on tokens that nobody has seen convict a kernel that remembers, and no honest one."""

from collections.abc import Callable

import numpy as np
import pytest

from tests import synthetic
from tests.verdicts.judging import TIMES, claim, judged
from validation.evidence.record import Evidence
from validation.performance.sample import Block, ProcessRun, Role
from validation.verdicts.reasons import Reason
from validation.verdicts.unseen import knows_tokens
from validation.verdicts.verdict import Verdict

#: Of the eight calls of a block.
PLACES = (2, 5)


def remembering(times: Callable[[int], float], seed: int = 0, noise: float = 0.02) -> Evidence:
    """Evidence in which the candidate's calls on unseen tokens take so many times as long, by its process's number."""
    evidence = synthetic.evidence(times_us=TIMES, seed=seed, call_noise=noise)
    ours = [process for process in evidence.processes if process.role is not Role.BASELINES]
    factors = {id(process): times(number) for number, process in enumerate(ours)}

    def slower(process: ProcessRun, block: Block) -> Block:
        return _slower(block, factors[id(process)]) if id(process) in factors else block

    return synthetic.with_blocks(evidence, slower)


def _slower(block: Block, factor: float) -> Block:
    places = tuple(place for place in PLACES if place < len(block.calls_ns))
    calls = tuple(int(ns * factor) if place in places else ns for place, ns in enumerate(block.calls_ns))
    return block.model_copy(update={"calls_ns": calls, "unseen": places, "parent_ns": sum(calls) + 200_000})


@pytest.mark.parametrize("factor", [1.15, 2.0, 30.0])
def test_a_kernel_that_remembers_in_every_process_is_found(factor: float) -> None:
    told = knows_tokens(remembering(lambda _number: factor), synthetic.CANDIDATE)
    assert "tokens that nobody had seen" in told
    assert "seed-claim in float32 (cpu)" in told


def test_one_that_remembers_in_every_sixth_process_is_found() -> None:
    assert "in 4 of" in knows_tokens(remembering(lambda number: 3.0 if number % 6 == 2 else 1.0), synthetic.CANDIDATE)


def test_its_findings_are_invalid() -> None:
    (finding,) = judged(claim(), remembering(lambda _number: 3.0)).findings
    assert finding.verdict is Verdict.INVALID
    assert finding.reason == Reason.KNOWS_TOKENS
    assert "remembers answers while it is timed" in finding.explanation


def test_two_processes_are_no_evidence() -> None:
    assert not knows_tokens(remembering(lambda number: 3.0 if number in {4, 9} else 1.0), synthetic.CANDIDATE)


def test_a_baseline_is_trusted() -> None:
    evidence = remembering(lambda _number: 3.0)
    assert not knows_tokens(evidence, "numpy_grouped")


def test_no_honest_kernel_is_accused() -> None:
    # Calls that spread by 15 %, as beside busy strangers, and processes that differ in what they make of unseen tokens.
    accused = 0
    for seed in range(200):
        factors = np.exp(np.random.default_rng(seed).normal(0.0, 0.05, 100))
        evidence = remembering(factors.tolist().__getitem__, seed=seed, noise=0.15)
        accused += bool(knows_tokens(evidence, synthetic.CANDIDATE))
    assert accused == 0


def test_a_place_beyond_the_calls_is_refused() -> None:
    block = synthetic.evidence(times_us=TIMES).processes[1].series[0].blocks[0]
    with pytest.raises(ValueError, match="unseen must name places of calls_ns, below"):
        Block.model_validate({**block.model_dump(), "unseen": (len(block.calls_ns),)})
