"""PyTorch over oneDNN with weights packed once and the activation fused: what inductor's freezing emits.

Operators: torch.ops.mkldnn._reorder_linear_weight and _linear_pointwise, as torch._inductor.fx_passes.mkldnn_fusion
uses them. They are private, but they are the fastest linear layers that PyTorch ships for a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from reference.shared_expert import shared_alone
from reference.torch_dispatch import combine, dispatch
from reference.torch_routing import prepare_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer

#: Activation -> oneDNN's name of the post-op and its algorithm.
_POST_OPS: Final = {
    "relu": ("relu", ""),
    "silu": ("swish", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
}


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function over packed weights.

    Raises:
        NotImplementedError: a 16-bit layer on a CPU without instructions for its dtype, which oneDNN does not emulate.
    """
    # Private, as above.
    if layer.config.dtype == "float16" and not torch.ops.mkldnn._is_mkldnn_fp16_supported():  # noqa: SLF001
        raise NotImplementedError(
            "oneDNN takes float16 only on CPUs with avx512_fp16 or avx_ne_convert; this one has none"
        )
    if layer.config.dtype == "bfloat16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001
        raise NotImplementedError(
            "oneDNN takes bfloat16 only on CPUs with avx512bw, avx512vl and avx512dq, or avx_ne_convert; "
            "this one has none"
        )
    config, route = layer.config, prepare_router(layer)
    ffn = _prepare_expert(layer)
    shared = None if layer.shared_w1 is None else _prepare_expert(shared_alone(layer))

    @torch.inference_mode()
    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        ids, weights = route(x)
        order, counts = dispatch(ids, config.n_experts)
        groups = x[order // config.top_k].split_with_sizes(counts.tolist())
        answers = torch.cat([ffn(expert, own) for expert, own in enumerate(groups) if len(own)] or [x])
        combine(answers, order, weights, out)
        if shared is not None:
            out.add_(shared(0, x))
        return None, ids, weights

    return forward


def _prepare_expert(layer: Layer) -> Callable[[int, torch.Tensor], torch.Tensor]:
    """Returns ffn(expert, x [n, d]) -> [n, d] over packed weights."""
    post_op = _POST_OPS[layer.config.activation]
    up, down = _pack(layer.w1), _pack(layer.w2)
    gate = None if layer.w_gate is None else _pack(layer.w_gate)
    b1, b2 = (None if tensor is None else tensor.unbind() for tensor in (layer.b1, layer.b2))
    linear = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - see above

    def ffn(expert: int, x: torch.Tensor) -> torch.Tensor:
        bias = None if b1 is None else b1[expert]
        if gate is None:
            hidden = linear(x, up[expert], bias, post_op[0], [], post_op[1])
        else:
            opening = linear(x, gate[expert], None, post_op[0], [], post_op[1])
            hidden = linear.binary(x, opening, up[expert], bias, "mul")
        answer: torch.Tensor = linear(hidden, down[expert], None if b2 is None else b2[expert], "none", [], "")
        return answer

    return ffn


def _pack(matrices: torch.Tensor) -> list[torch.Tensor]:
    """Each [in, out] matrix in oneDNN's blocked layout, from the [out, in] form it takes."""
    pack = torch.ops.mkldnn._reorder_linear_weight  # noqa: SLF001 - see above
    with torch.inference_mode():
        return [pack(matrix.T.contiguous()) for matrix in matrices]
