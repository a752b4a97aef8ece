"""Batches of a bank of tokens, each beside what the oracle answers to it."""

from __future__ import annotations

import secrets
from copy import copy
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import torch

from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.workloads.inputs import TokenBank, bank_rows, draw_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from validation.correctness.expected import Expected
    from validation.implementations.answer import Output
    from validation.workloads.layer import Layer
    from validation.workloads.workload import Workload


class Answered:
    """A bank with its answers."""

    def __init__(self, bank: TokenBank, layer: Layer) -> None:
        """Has the oracle answer to every token of the bank, on this layer."""
        self.bank = bank
        self._expected: Expected = expect(layer, bank.tokens)
        self._calls = count()

    @classmethod
    def fresh(cls, workload: Workload, layer: Layer, calls: int) -> Answered:
        """So many batches of tokens of which none has come before, in any batch."""
        drawn = replace(workload, seed=secrets.randbelow(1 << 31))
        tokens = draw_tokens(drawn.layer, calls * workload.tokens, drawn.seed, drawn.routing, "fresh")
        return cls(TokenBank(workload=drawn, tokens=tokens), layer)

    def by(self, tokens: int) -> Answered:
        """The same tokens for calls on so many each, and of them as many as a workload of that many has in its bank."""
        made = copy(self)
        rows = self.bank.tokens[: bank_rows(tokens)]
        made.bank = TokenBank(workload=replace(self.bank.workload, tokens=tokens), tokens=rows)
        return made

    def draw(self, calls: int) -> list[npt.NDArray[np.int64]]:
        """Rows [T] of so many batches that no call had before."""
        return [self.bank.rows("integrity", call=next(self._calls)) for _call in range(calls)]

    def right(self, rows: list[npt.NDArray[np.int64]], outputs: Sequence[Output]) -> tuple[bool, ...]:
        """Whether each output is that of its rows."""
        if self.bank.workload.tokens == 1 and self._all_right(rows, outputs):
            return (True,) * len(rows)
        return tuple(self._all_right([one], [output]) for one, output in zip(rows, outputs, strict=True))

    def _all_right(self, rows: list[npt.NDArray[np.int64]], outputs: Sequence[Output]) -> bool:
        """Whether all are right, looked at as one batch: single tokens would take longer to compare than to answer."""
        told = [one for one in outputs if one.ids is not None]
        if not all(one.written for one in outputs) or 0 < len(told) < len(outputs):
            return False
        ids, weights = (_joined([getattr(one, name) for one in told]) for name in ("ids", "weights"))
        out = torch.cat([one.out for one in outputs])
        return compare(self._expected.rows(np.concatenate(rows)), out, ids, weights, proves=False).passed


def _joined(tensors: list[torch.Tensor]) -> torch.Tensor | None:
    return torch.cat(tensors) if tensors else None
