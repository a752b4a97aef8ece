"""PyTorch, every token through every expert: all experts as one wide FFN, the unchosen ones weighted zero.

E/k times the work, but two large matmuls and no dispatch: the strongest form where overhead decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from reference.torch_activation import ACTIVATIONS
from reference.torch_expert import prepare_shared
from reference.torch_routing import prepare_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function; W1 becomes [d, E*f], and W2 [E*f, d] sums over the experts by itself."""
    config, route, add_shared = layer.config, prepare_router(layer), prepare_shared(layer)
    activate = ACTIVATIONS[config.activation]
    up, gate = _side_by_side(layer.w1), None if layer.w_gate is None else _side_by_side(layer.w_gate)
    up_bias = None if layer.b1 is None else layer.b1.flatten()
    down = layer.w2.reshape(-1, config.d_model)

    @torch.inference_mode()
    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        ids, weights = route(x)
        share = torch.zeros(len(x), config.n_experts, dtype=x.dtype, device=x.device)
        share.scatter_(1, ids, weights.to(x.dtype))
        hidden = x @ up if up_bias is None else torch.addmm(up_bias, x, up)
        hidden = activate(hidden) if gate is None else activate(x @ gate).mul_(hidden)
        hidden.view(len(x), config.n_experts, config.d_ff).mul_(share.unsqueeze(-1))
        torch.mm(hidden, down, out=out)
        if layer.b2 is not None:
            out.addmm_(share, layer.b2)
        add_shared(x, out)
        return None, ids, weights

    return forward


def _side_by_side(matrices: torch.Tensor) -> torch.Tensor:
    """The experts' [d, f] matrices as one [d, E*f]."""
    return matrices.permute(1, 0, 2).flatten(1).contiguous()
