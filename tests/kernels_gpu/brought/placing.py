"""Choosing experts and placing pairs as PyTorch compiles it, for those whose C++ for it is not here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def placing(layer: Any) -> Callable[[torch.Tensor, int], tuple[torch.Tensor, ...]]:
    """Chooses experts, and places pairs in tiles of so many rows of one expert.

    Returns weights and ids [T, k], the pair of each row, the expert and the end of rows of each tile, and [1] rows.
    """
    experts, k = layer.config.n_experts, layer.config.top_k

    @torch.compile(dynamic=False)
    def choose(x: torch.Tensor, rows: int) -> tuple[torch.Tensor, ...]:
        best, ids = (x @ layer.router_weight).float().topk(k, dim=-1)
        pairs = ids.numel()
        flat, order = ids.flatten().sort(stable=True)
        counts = torch.zeros(experts, dtype=torch.int64, device=x.device).scatter_add_(0, flat, torch.ones_like(flat))
        padded = (counts + rows - 1) // rows * rows
        ends = padded.cumsum(0)
        starts = ends - padded
        place = (starts - counts.cumsum(0) + counts)[flat] + torch.arange(pairs, device=x.device)
        tiles = pairs if pairs <= experts else (pairs + experts * (rows - 1)) // rows
        pair = torch.full((tiles * rows,), pairs, dtype=torch.int32, device=x.device)
        pair[place] = order.to(torch.int32)
        first = torch.arange(0, tiles * rows, rows, device=x.device)
        of = torch.searchsorted(ends, first, right=True).clamp(max=experts - 1)
        until = (starts + counts)[of]
        return (best.softmax(-1), ids.to(torch.int32), pair, *(t.to(torch.int32) for t in (of, until, ends[-1:])))

    return choose
