"""What a candidate did when called: an output, a refusal, or an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from validation.implementations.failure import ImplementationFailed, WorkerEnded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from validation.correctness.question import Question
    from validation.workloads.layer import Layer


class Run(Protocol):
    """Runs the candidate once: prepares the layer when it is not the last call's, and returns (out, ids, weights)."""

    def __call__(
        self, layer: Layer, x: torch.Tensor, /
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Returns the output [T, d] and, where the candidate tells them, expert ids and weights [T, k]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call's result, or why there is none; `died` when the candidate's process did not live through it."""

    out: torch.Tensor | None = None
    ids: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    raised: str = ""
    unsupported: bool = False
    died: bool = False


def attempt(question: Question, run: Run) -> tuple[Attempt, ...]:
    """Makes the question's calls in turn and stops at the first that fails: what comes after it proves nothing."""
    attempts: list[Attempt] = []
    for call in question.calls:
        attempts.append(_attempt(call.layer, call.x, run))
        if attempts[-1].raised:
            break
    return tuple(attempts)


def _attempt(layer: Layer, x: torch.Tensor, run: Run) -> Attempt:
    try:
        out, ids, weights = run(layer, x)
    except ImplementationFailed as failure:
        unsupported = "NotImplementedError" in failure.cause
        return Attempt(raised=str(failure), unsupported=unsupported, died=isinstance(failure, WorkerEnded))
    except Exception as error:  # noqa: BLE001 -- whatever a candidate raises is its finding, never our end
        told = f"{type(error).__name__}: {error}"
        return Attempt(raised=told, unsupported=isinstance(error, NotImplementedError))
    return Attempt(out=out, ids=ids, weights=weights)


def unsupported(attempts: Sequence[Attempt]) -> bool:
    """Whether the candidate declined the very first call as something it does not compute."""
    return bool(attempts) and attempts[0].unsupported
