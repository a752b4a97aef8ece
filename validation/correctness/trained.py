"""Cases on the weights of a trained layer, which no id could make again: one command re-runs them all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from validation.correctness.attempt import attempt
from validation.correctness.expected import expect
from validation.correctness.judge import judge
from validation.correctness.question import Call, Question
from validation.correctness.spec import CaseSpec, Check
from validation.workloads.inputs import draw_tokens
from validation.workloads.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.correctness.attempt import Run
    from validation.correctness.case import Case
    from validation.correctness.judge import Candidate
    from validation.workloads.layer import Layer

#: One token, a few, and no multiple of any tile; the batch that was asked for comes last.
TOKENS: Final = (1, 7, 65)

#: Times the last batch is given again: its bits must not change.
_REPEATS: Final = 3


def check_trained(layer: Layer, tokens: int, run: Run, candidate: Candidate) -> Iterator[Case]:
    """Yields a case for each number of random tokens, `tokens` the last, as the candidate that `run` runs answers it.

    `candidate.repro` is the whole command that re-runs them.
    """
    for count in (*(size for size in TOKENS if size < tokens), tokens):
        x = draw_tokens(layer.config, count)
        call = Call(label="", layer=layer, x=x, expected=expect(layer, x))
        calls: tuple[Call, ...] = (call,)
        if count == tokens:
            calls += tuple(replace(call, label=f"call {again}", x=x.clone()) for again in range(2, _REPEATS + 2))
        question = Question(calls=calls, same_bits=True)
        spec = CaseSpec(check=Check.RANDOM, workload=Workload(name="trained", tokens=count, layer=layer.config))
        case = judge(spec, question, attempt(question, run), candidate)
        id_ = f"trained:{case.shape}"
        yield case.model_copy(update={"id": id_, "check": "trained", "repro": candidate.repro})
