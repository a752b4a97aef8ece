"""A fused MoE in Triton, as serving engines write it: rows gathered inside the first matmul, activation in its end.

Two kernels over (token, slot) pairs sorted by expert, one block of rows of one expert each; PyTorch routes, sorts and
sums the k answers. The grid is as large as the worst routing needs, and blocks without rows return at once, so that
nothing waits for the device.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from reference.published_layer import require_published
from reference.torch_dispatch import dispatch
from reference.torch_routing import prepare_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer

_ACTIVATIONS = {"relu": 0, "silu": 1, "gelu": 2, "gelu_tanh": 3}


@triton.jit  # type: ignore[untyped-decorator]
def _activate(z, kind: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 -- Triton's language
    if kind == 0:
        return tl.maximum(z, 0.0)
    if kind == 1:
        return z * tl.sigmoid(z)
    if kind == 2:  # noqa: PLR2004 -- gelu, its erf form
        return 0.5 * z * (1.0 + tl.erf(z * 0.7071067811865476))
    return z * tl.sigmoid(1.5957691216057308 * (z + 0.044715 * z * z * z))


@triton.jit  # type: ignore[untyped-decorator]
def _multiply(  # type: ignore[no-untyped-def]  # noqa: ANN202, PLR0913, PLR0917 -- Triton's language
    x, w, gate, bias, out, order, starts, blocks,  # noqa: ANN001
    n_experts, n: tl.constexpr, k: tl.constexpr, top_k: tl.constexpr,  # noqa: ANN001
    EXPERTS: tl.constexpr, GATHER: tl.constexpr, KIND: tl.constexpr, GATED: tl.constexpr, BIASED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """out[rows of a block] = x[its tokens or rows] w[its expert], activated when KIND >= 0."""
    column_block, row_block = tl.program_id(0), tl.program_id(1)
    each = tl.arange(0, EXPERTS)
    ends = tl.load(blocks + each, mask=each < n_experts, other=2147483647)
    expert = tl.sum((ends <= row_block).to(tl.int32))
    if expert >= n_experts:
        return
    first = tl.max(tl.where(each < expert, ends, 0))
    start, stop = tl.load(starts + expert), tl.load(starts + expert + 1)
    rows = start + (row_block - first) * BM + tl.arange(0, BM)
    there = rows < stop
    source = tl.load(order + rows, mask=there, other=0) // top_k if GATHER else rows
    columns, inner = column_block * BN + tl.arange(0, BN), tl.arange(0, BK)
    left = x + source.to(tl.int64)[:, None] * k + inner[None, :]
    right = expert.to(tl.int64) * k * n + inner.to(tl.int64)[:, None] * n + columns[None, :]
    up = tl.zeros((BM, BN), dtype=tl.float32)
    gated = tl.zeros((BM, BN), dtype=tl.float32)
    for at in range(0, k, BK):
        a = tl.load(left + at, mask=there[:, None] & (inner[None, :] + at < k), other=0.0)
        inside = (inner[:, None] + at < k) & (columns[None, :] < n)
        up = tl.dot(a, tl.load(w + right, mask=inside, other=0.0), up, input_precision="ieee")
        if GATED:
            gated = tl.dot(a, tl.load(gate + right, mask=inside, other=0.0), gated, input_precision="ieee")
        right += BK * n
    if BIASED:
        up += tl.load(bias + expert * n + columns, mask=columns < n, other=0.0).to(tl.float32)[None, :]
    if GATED:
        up = _activate(gated, KIND) * up
    elif KIND >= 0:
        up = _activate(up, KIND)
    place = out + rows.to(tl.int64)[:, None] * n + columns[None, :]
    tl.store(place, up.to(out.dtype.element_ty), mask=there[:, None] & (columns[None, :] < n))


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function over the layer's own weights.

    Raises:
        NotImplementedError: the layer has what the published one lacks.
    """
    require_published(layer, "triton_fused")
    config, route = layer.config, prepare_router(layer)
    experts, top_k = config.n_experts, config.top_k
    kind = _ACTIVATIONS[config.activation]

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        ids, weights = route(x)
        tokens, pairs = len(x), len(x) * top_k
        if tokens == 0:
            return None, ids, weights
        order, counts = dispatch(ids, experts)
        starts = torch.zeros(experts + 1, dtype=torch.int32, device=x.device)
        torch.cumsum(counts, 0, dtype=torch.int32, out=starts[1:])
        # Few rows an expert: the weights' stream is the bound, and rows a block does not have are wasted work.
        bm = 128 if pairs >= 64 * experts else 64 if pairs >= 16 * experts else 16
        blocks = ((counts + bm - 1) // bm).cumsum(0, dtype=torch.int32)
        most = min(pairs, pairs // bm + experts)

        def multiply(
            rows: torch.Tensor,
            matrices: torch.Tensor,
            bias: torch.Tensor | None,
            gate: torch.Tensor | None,
            *,
            first: bool,
        ) -> torch.Tensor:
            _experts, k, n = matrices.shape
            answer = torch.empty((pairs, n), dtype=x.dtype, device=x.device)
            bn, bk = (64, 32) if x.dtype == torch.float32 else (128, 64)
            with torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext():
                _multiply[triton.cdiv(n, bn), most](
                    rows, matrices, matrices if gate is None else gate, matrices if bias is None else bias, answer,
                    order, starts, blocks, experts, n, k, top_k,
                    EXPERTS=max(2, triton.next_power_of_2(experts)), GATHER=first, KIND=kind if first else -1,
                    GATED=gate is not None, BIASED=bias is not None, BM=bm, BN=bn, BK=bk,
                    num_warps=8 if bm == 128 else 4, num_stages=3,  # noqa: PLR2004 -- the large tile
                )  # fmt: skip
            return answer

        hidden = multiply(x, layer.w1, layer.b1, layer.w_gate, first=True)
        answers = multiply(hidden, layer.w2, layer.b2, None, first=False)
        place = torch.empty_like(order)
        place[order] = torch.arange(pairs, device=x.device)
        torch.sum(answers[place].view(tokens, top_k, -1) * weights.unsqueeze(-1).to(x.dtype), dim=1, out=out)
        return None, ids, weights

    return forward
