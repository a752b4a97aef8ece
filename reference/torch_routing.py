"""Every router of the layer in PyTorch. Which of two exactly equal logits wins is torch.topk's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer, LayerConfig

    Routing = tuple[torch.Tensor, torch.Tensor]


def prepare_router(layer: Layer) -> Callable[[torch.Tensor], Routing]:
    """Returns route(x [T, d]) -> expert ids and weights [T, k], heaviest first.

    Router arithmetic is float32 for every dtype: rounding logits to bfloat16 would make ties of near-ties.
    """
    config = layer.config
    weight = layer.router_weight.float()
    bias = None if layer.router_bias is None else layer.router_bias.float()
    choose = _sigmoid(config, layer.correction_bias) if config.router == "sigmoid" else _softmax(config)

    def route(x: torch.Tensor) -> Routing:
        logits = x.float() @ weight if bias is None else torch.addmm(bias, x.float(), weight)
        ids, weights = choose(logits)
        return ids, weights if config.routed_scaling == 1 else weights.mul_(config.routed_scaling)

    return route


def _softmax(config: LayerConfig) -> Callable[[torch.Tensor], Routing]:
    def choose(logits: torch.Tensor) -> Routing:
        if config.renormalize:  # the softmax over all experts cancels: exp(l_i) / sum over the chosen of exp(l_j)
            best, ids = logits.topk(config.top_k, dim=1)
            return ids, best.softmax(dim=1)
        weights, ids = logits.softmax(dim=1).topk(config.top_k, dim=1)
        return ids, weights

    return choose


def _sigmoid(config: LayerConfig, correction: torch.Tensor | None) -> Callable[[torch.Tensor], Routing]:
    """As DeepSeek-V3's own model.py chooses: the best groups by their two best scores, then the best experts."""
    best_of_group = min(2, config.n_experts // config.n_groups)

    def choose(logits: torch.Tensor) -> Routing:
        scores = logits.sigmoid()
        ordered = scores if correction is None else scores + correction
        if config.top_groups < config.n_groups:
            grouped = ordered.view(len(ordered), config.n_groups, config.n_experts // config.n_groups)
            worth = grouped.topk(best_of_group, dim=2).values.sum(dim=2)
            closed = torch.ones_like(worth, dtype=torch.bool)
            closed.scatter_(1, worth.topk(config.top_groups, dim=1).indices, value=False)
            ordered = grouped.masked_fill(closed.unsqueeze(2), -torch.inf).flatten(1)
        ids = ordered.topk(config.top_k, dim=1).indices
        weights = scores.gather(1, ids)
        return ids, weights / weights.sum(dim=1, keepdim=True) if config.renormalize else weights

    return choose
