"""A layer as the oracle takes it: every tensor in float64, exactly what the rounded weights are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from reference.oracle import OracleLayer, RouterRule

if TYPE_CHECKING:
    from reference.oracle import Array
    from validation.workloads.layer import Layer


def oracle_layer(layer: Layer) -> OracleLayer:
    """The layer's weights as float64 of their rounded values."""
    config = layer.config
    return OracleLayer(
        router=float64(layer.router_weight),
        w1=float64(layer.w1),
        w2=float64(layer.w2),
        top_k=config.top_k,
        activation=config.activation,
        rule=RouterRule(
            kind=config.router,
            renormalize=config.renormalize,
            scaling=config.routed_scaling,
            n_groups=config.n_groups,
            top_groups=config.top_groups,
        ),
        router_bias=_or_none(layer.router_bias),
        correction_bias=_or_none(layer.correction_bias),
        b1=_or_none(layer.b1),
        b2=_or_none(layer.b2),
        w_gate=_or_none(layer.w_gate) if config.gated else None,
        shared=_shared_layer(layer),
    )


def _shared_layer(layer: Layer) -> OracleLayer | None:
    """The shared expert as a layer of one expert."""
    if layer.shared_w1 is None or layer.shared_w2 is None:
        return None
    b1, b2, w_gate = (
        None if tensor is None else float64(tensor)[None]
        for tensor in (layer.shared_b1, layer.shared_b2, layer.shared_w_gate)
    )
    return OracleLayer(
        router=np.zeros((layer.config.d_model, 1)),
        w1=float64(layer.shared_w1)[None],
        w2=float64(layer.shared_w2)[None],
        top_k=1,
        activation=layer.config.activation,
        b1=b1,
        b2=b2,
        w_gate=w_gate,
    )


def float64(tensor: torch.Tensor) -> Array:
    """Returns the tensor as float64. NumPy has no bfloat16, so torch widens."""
    return tensor.detach().to("cpu", torch.float64).contiguous().numpy()


def _or_none(tensor: torch.Tensor | None) -> Array | None:
    return None if tensor is None else float64(tensor)
