"""What a candidate did when called: an output, a refusal, or an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from validation.implementations.failure import ImplementationFailed, Misbehaved, WorkerEnded

if TYPE_CHECKING:
    import torch

    from validation.correctness.question import Question
    from validation.workloads.layer import Layer


#: What people raise on purpose.
_SAY_NO: Final = frozenset({"NotImplementedError", "ValueError", "TypeError", "AssertionError"})

#: In torch's words: "expected m1 and m2 to have the same dtype", "expected scalar type Float but found BFloat16".
_DTYPES: Final = ("dtype", "scalar type")


class Run(Protocol):
    """Runs the candidate once: prepares the layer when it is not the last call's, and returns (out, ids, weights)."""

    def __call__(
        self, layer: Layer, x: torch.Tensor, /
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Returns the output [T, d] and, where the candidate tells them, expert ids and weights [T, k]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call's result, or why there is none; `died` when the candidate's process did not live through it.

    `refused`: it raised, and did nothing else amiss. `declined`: it raised as who says no does, or anything while it
    prepared the layer; an IndexError is no such word. `misfit`: torch found dtypes that do not go together, as happens
    to a kernel that has turned the weights into the one dtype it is for.
    """

    out: torch.Tensor | None = None
    ids: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    raised: str = ""
    refused: bool = False
    declined: bool = False
    misfit: bool = False
    died: bool = False


def attempt(question: Question, run: Run) -> tuple[Attempt, ...]:
    """Makes the question's calls in turn and stops at the first that fails: what comes after it proves nothing.

    Nothing is lost by a refusal of no tokens at all, nor of what may be refused, so the calls after it are made.
    """
    attempts: list[Attempt] = []
    for call in question.calls:
        attempts.append(_attempt(call.layer, call.x, run))
        if attempts[-1].raised and not (attempts[-1].refused and (call.refusable or call.x.shape[0] == 0)):
            break
    return tuple(attempts)


def _attempt(layer: Layer, x: torch.Tensor, run: Run) -> Attempt:
    try:
        out, ids, weights = run(layer, x)
    except ImplementationFailed as failure:
        died = isinstance(failure, WorkerEnded)
        # What the parent finds out about a call it answered is no refusal: an input changed, a guard broken.
        refused = not died and not isinstance(failure, Misbehaved)
        declined = refused and (failure.stage == "prepare" or failure.cause.partition(":")[0] in _SAY_NO)
        misfit = refused and failure.cause.startswith("RuntimeError") and any(w in failure.cause for w in _DTYPES)
        return Attempt(raised=str(failure), refused=refused, declined=declined, misfit=misfit, died=died)
    except Exception as error:  # noqa: BLE001 -- whatever a candidate raises is its finding, never our end
        kind = type(error).__name__
        return Attempt(raised=f"{kind}: {error}", refused=True, declined=kind in _SAY_NO)
    return Attempt(out=out, ids=ids, weights=weights)
