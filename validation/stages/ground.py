"""What contenders of one workload are measured on: its tokens, its layer in shared memory, and the answers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.implementations.shared_layer import SharedLayer
from validation.workloads.inputs import TokenBank, make_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import torch

    from validation.performance.series import Check
    from validation.workloads.layer import Layer
    from validation.workloads.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A workload's bank of tokens, its layer as workers get it, and the check of what comes out of a call."""

    bank: TokenBank
    layer: SharedLayer
    check: Check


@contextmanager
def ground(workload: Workload, layer: Layer | None = None) -> Iterator[Ground]:
    """Draws the workload's tokens and, unless one is given, its layer; the oracle answers here, once for all calls."""
    bank = TokenBank.draw(workload)
    layer = layer or make_layer(workload.layer, workload.seed)
    expected = expect(layer, bank.tokens)

    def check(
        rows: npt.NDArray[np.int64], out: torch.Tensor, ids: torch.Tensor | None, weights: torch.Tensor | None
    ) -> bool:
        return compare(expected.rows(rows), out, ids, weights, proves=False).passed

    with SharedLayer.of(layer) as shared:
        yield Ground(bank=bank, layer=shared, check=check)
