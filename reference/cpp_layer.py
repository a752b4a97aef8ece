"""A compiled C++ baseline as a `prepare`: the layer's addresses in, its forward function out."""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, ClassVar, Final

import torch

from reference.published_layer import require_published

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from validation.workloads.layer import Layer

#: In the order of `enum Activation` of reference/cpp/layer.hpp.
_ACTIVATIONS: Final = ("relu", "gelu", "gelu_tanh", "silu")
_TENSORS: Final = ("router_weight", "router_bias", "w1", "b1", "w2", "b2", "w_gate")
_NUMBERS: Final = ("d", "f", "experts", "top_k", "activation", "renormalize")


class _Layer(ctypes.Structure):
    """`struct Layer` of reference/cpp/layer.hpp."""

    _fields_: ClassVar = [(name, ctypes.c_int64) for name in _NUMBERS] + [(name, ctypes.c_void_p) for name in _TENSORS]


class _Call(ctypes.Structure):
    """`struct Call` of reference/cpp/layer.hpp."""

    _fields_: ClassVar = [("tokens", ctypes.c_int64)] + [
        (name, ctypes.c_void_p) for name in ("x", "out", "ids", "weights")
    ]


def prepare_with(library: Path, layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function of a library built from reference/cpp; x and out must be contiguous float32."""
    require_published(layer, "the C++ baseline")
    config, code = layer.config, ctypes.CDLL(str(library))
    code.moe_prepare.restype = ctypes.c_void_p
    code.moe_forward.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    code.moe_release.argtypes = [ctypes.c_void_p]
    kept = [None if tensor is None else tensor.contiguous() for tensor in (getattr(layer, name) for name in _TENSORS)]
    numbers = (
        config.d_model,
        config.d_ff,
        config.n_experts,
        config.top_k,
        _ACTIVATIONS.index(config.activation),
        int(config.renormalize),
    )
    prepared = code.moe_prepare(
        ctypes.byref(_Layer(*numbers, *(None if tensor is None else tensor.data_ptr() for tensor in kept)))
    )

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        for name, tensor in (("x", x), ("out", out)):
            if tensor.dtype is not torch.float32 or not tensor.is_contiguous():
                raise ValueError(f"{name} must be contiguous float32; got {tensor.dtype}, strides {tensor.stride()}")
        ids = torch.empty(len(x), config.top_k, dtype=torch.int64)
        weights = torch.empty(len(x), config.top_k)
        code.moe_forward(
            prepared,
            ctypes.byref(_Call(len(x), x.data_ptr(), out.data_ptr(), ids.data_ptr(), weights.data_ptr())),
        )
        return None, ids, weights

    # Holds `kept` too: the plain form reads the weights where they are.
    weakref.finalize(forward, lambda _: code.moe_release(prepared), kept)
    return forward
