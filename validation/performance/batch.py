"""The tokens of one timed call, and how its output is checked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

#: Whether what came out of a call is right: out, ids, weights.
Right: TypeAlias = "Callable[[torch.Tensor, torch.Tensor | None, torch.Tensor | None], bool]"

#: The share of a candidate's timed calls on tokens that nobody has seen: the oracle answers each of them anew.
_UNSEEN_SHARE: Final = 1 / 8

#: Of a series of few calls so many on average.
_UNSEEN_CALLS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tokens x [T, d] and the check of their output.

    Those of an `unseen` batch were drawn for it alone, from a seed made up for it; all others come from a bank.
    """

    x: torch.Tensor
    right: Right
    unseen: bool = False


def mixed(known: Iterator[Batch], unseen: Callable[[], Batch] | None, calls: int) -> Iterator[Batch]:
    """Known batches, and in between, at places nobody can foresee, unseen ones; `calls` is how long a series is meant.

    A kernel that remembers tokens, or was brought their answers, has to work for the unseen ones, in the same calls
    that its time is taken from; there is no other process, nor a later moment, in which to be honest instead.
    """
    random = secrets.SystemRandom()
    share = max(_UNSEEN_SHARE, min(1.0, _UNSEEN_CALLS / max(calls, 1)))
    while True:
        yield unseen() if unseen is not None and random.random() < share else next(known)
