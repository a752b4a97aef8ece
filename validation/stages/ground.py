"""What contenders of one workload are measured on: its tokens, its layer in shared memory, and the answers."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.correctness.oracle_layer import oracle_layer
from validation.implementations.shared_layer import SharedLayer
from validation.performance.batch import Batch
from validation.workloads.inputs import TokenBank, draw_tokens, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from reference.oracle import OracleLayer
    from validation.correctness.expected import Expected
    from validation.performance.series import Check
    from validation.workloads.layer import Layer
    from validation.workloads.workload import Workload

#: Of a larger batch that nobody has seen so many tokens are looked at, drawn when its output is there: the oracle takes
#: 0.15 ms for each at the published shape. All of them are fresh: when the rest were the bank's, a kernel that kept the
#: answers to half of every batch took as long for these as for others.
_MOST_CHECKED: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A workload's bank of tokens, its layer as workers get it, and the check of what comes out of a call.

    `unseen` draws a batch that no other call has, nor anybody could have foreseen; its check asks the oracle.
    """

    bank: TokenBank
    layer: SharedLayer
    check: Check
    unseen: Callable[[], Batch]


@contextmanager
def ground(workload: Workload, layer: Layer | None = None) -> Iterator[Ground]:
    """Draws the workload's tokens and, unless one is given, its layer; the oracle answers here, once for all calls."""
    bank = TokenBank.draw(workload)
    layer = layer or make_layer(workload.layer, workload.seed)
    answers = _Answers.of(layer, bank)
    with SharedLayer.of(layer) as shared:
        yield Ground(bank=bank, layer=shared, check=answers.right, unseen=answers.unseen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """The oracle of a layer, and its answers to a bank."""

    layer: Layer
    weights: OracleLayer
    bank: TokenBank
    expected: Expected

    @classmethod
    def of(cls, layer: Layer, bank: TokenBank) -> _Answers:
        weights = oracle_layer(layer)
        return cls(layer=layer, weights=weights, bank=bank, expected=expect(layer, bank.tokens, weights=weights))

    def right(
        self, rows: npt.NDArray[np.int64], out: torch.Tensor, ids: torch.Tensor | None, weights: torch.Tensor | None
    ) -> bool:
        """Whether that is what the layer makes of these rows of the bank."""
        return compare(self.expected.rows(rows), out, ids, weights, proves=False).passed

    def unseen(self) -> Batch:
        """A batch of tokens drawn for it alone; of a large one only some are looked at, which nobody can foresee."""
        workload, stream = self.bank.workload, f"unseen {secrets.token_hex(16)}"
        # The seed is the layer's own: skewed tokens are pushed along its router's columns. What nobody knows is the
        # stream.
        tokens = draw_tokens(workload.layer, workload.tokens, workload.seed, workload.routing, stream)

        def right(out: torch.Tensor, ids: torch.Tensor | None, weights: torch.Tensor | None) -> bool:
            order = np.random.default_rng(secrets.randbits(64)).permutation(workload.tokens)
            places = torch.from_numpy(order[:_MOST_CHECKED])
            answers = expect(self.layer, tokens[places], weights=self.weights)
            return compare(answers, *_at(places, out, ids, weights), proves=False).passed

        return Batch(x=tokens, right=right, unseen=True)


def _at(
    places: torch.Tensor, out: torch.Tensor, ids: torch.Tensor | None, weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    return out[places], None if ids is None else ids[places], None if weights is None else weights[places]
