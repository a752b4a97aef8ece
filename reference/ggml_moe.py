"""llama.cpp's Mixture-of-Experts on a CPU: its graph over ggml_mul_mat_id, router included.

`pip install -c constraints.txt ggml-python` compiles ggml 0.15.3 for this machine. Its mul_mat_id of float32 and
bfloat16 is that of llama.cpp's ggml 0.25.3 (October 2026), which has tiles for quantised weights alone. Tensors lie
where torch has them; only weights are copied, once, into the transposed form that ggml multiplies. Nothing is imported
from beside this file, so that the suite may also take it for a stranger's.
"""

from __future__ import annotations

import weakref
from ctypes import c_void_p
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import torch
from ggml import ggml

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer, LayerConfig

#: What ggml hands out: an address, of whose type nothing is known.
_Handle: TypeAlias = Any

_TYPES: Final = {"float32": ggml.GGML_TYPE_F32, "bfloat16": ggml.GGML_TYPE_BF16, "float16": ggml.GGML_TYPE_F16}
#: Not gelu_tanh: ggml looks that one up in a table of float16.
_ACTIVATIONS: Final = {"relu": ggml.ggml_relu, "silu": ggml.ggml_silu, "gelu": ggml.ggml_gelu_erf}
_WEIGHTS: Final = ("router_weight", "w1", "w2", "w_gate")
_BIASES: Final = ("router_bias", "b1", "b2")
#: More than the graph below has tensors, but for two of each rank.
_NODES: Final = 64


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Returns the forward function; it keeps the graph of the last call, which serves as long as T stays.

    Raises:
        NotImplementedError: a layer that this graph does not compute.
    """
    config = layer.config
    _require(config)
    kept: dict[str, torch.Tensor] = {}
    for name in _WEIGHTS:
        if (weight := getattr(layer, name)) is not None:
            kept[name] = weight.mT.contiguous()
    for name in _BIASES:
        if (bias := getattr(layer, name)) is not None:
            kept[name] = bias.float().contiguous()
    backend = ggml.ggml_backend_cpu_init()
    ggml.ggml_backend_cpu_set_n_threads(backend, torch.get_num_threads())
    graphs: dict[int, _Graph] = {}

    def forward(x: torch.Tensor, out: torch.Tensor) -> None:
        if len(x) == 0:
            return
        if len(x) not in graphs:
            graphs.clear()
            graphs[len(x)] = _Graph(backend, config, kept, len(x))
        graphs[len(x)].compute(x.data_ptr(), out.data_ptr())

    return forward


def _require(config: LayerConfig) -> None:
    found = {
        f"a {config.router} router": config.router == "sigmoid",
        "a shared expert": config.shared_d_ff > 0,
        "a scaled routing": config.routed_scaling != 1,
        "a float32 router": config.router_dtype != config.dtype,
        config.activation: config.activation not in _ACTIVATIONS,
    }
    if any(found.values()):
        lacking = " and ".join(option for option, there in found.items() if there)
        raise NotImplementedError(f"this graph of llama.cpp's computes no layer with {lacking}")


class _Graph:
    """The layer for T tokens; ggml writes a shape as (columns, rows, matrices)."""

    def __init__(self, backend: _Handle, config: LayerConfig, kept: dict[str, torch.Tensor], tokens: int) -> None:
        """Builds the graph and gives it memory for what lies between x and out."""
        size = ggml.ggml_tensor_overhead() * (_NODES + 2 * config.top_k) + ggml.ggml_graph_overhead()
        self._backend = backend
        self._context = ggml.ggml_init(ggml.ggml_init_params(mem_size=size, mem_buffer=None, no_alloc=True))
        self._type = _TYPES[config.dtype]
        self._inputs = [self._leaf(self._type, config.d_model, *rows) for rows in ((tokens,), (1, tokens))]
        self._output = self._build(config, {name: self._tensor(one) for name, one in kept.items()}, *self._inputs)
        self._graph = ggml.ggml_new_graph(self._context)
        ggml.ggml_build_forward_expand(self._graph, self._output)
        # ggml gives memory to whatever has none: those of the call only have to have some address until then.
        for one in (*self._inputs, self._output):
            one.contents.data = c_void_p(64)
        memory = ggml.ggml_gallocr_new(ggml.ggml_backend_get_default_buffer_type(backend))
        if not ggml.ggml_gallocr_alloc_graph(memory, self._graph):
            raise MemoryError(f"ggml got no memory for a call of {tokens} tokens")
        weakref.finalize(self, _release, memory, self._context)

    def compute(self, x: int, out: int) -> None:
        """Fills `out`, as its bytes are in torch, from `x`."""
        for one in self._inputs:
            one.contents.data = x
        self._output.contents.data = out
        status = ggml.ggml_backend_graph_compute(self._backend, self._graph)
        if status != ggml.GGML_STATUS_SUCCESS:
            raise RuntimeError(f"ggml ended with status {status}")

    def _leaf(self, kind: int, *shape: int) -> _Handle:
        return getattr(ggml, f"ggml_new_tensor_{len(shape)}d")(self._context, kind, *shape)

    def _tensor(self, kept: torch.Tensor) -> _Handle:
        kind = ggml.GGML_TYPE_F32 if kept.dtype is torch.float32 else self._type
        leaf = self._leaf(kind, *reversed(kept.shape))
        leaf.contents.data = kept.data_ptr()
        return leaf

    def _build(self, config: LayerConfig, weights: dict[str, _Handle], x: _Handle, rows: _Handle) -> _Handle:
        """The last tensor of the graph; `x` (d, T) and `rows` (d, 1, T) are the same memory."""
        context, k, tokens = self._context, config.top_k, x.contents.ne[1]
        logits = ggml.ggml_mul_mat(context, weights["router_weight"], x)
        if "router_bias" in weights:
            logits = ggml.ggml_add(context, logits, weights["router_bias"])
        shares = ggml.ggml_soft_max(context, logits)
        ids = ggml.ggml_argsort_top_k(context, shares, k)
        scale = ggml.ggml_get_rows(context, ggml.ggml_reshape_3d(context, shares, 1, config.n_experts, tokens), ids)
        if config.renormalize:
            scale = ggml.ggml_reshape_2d(context, scale, k, tokens)
            scale = ggml.ggml_div(context, scale, ggml.ggml_sum_rows(context, scale))
            scale = ggml.ggml_reshape_3d(context, scale, 1, k, tokens)

        def linear(weight: str, bias: str, operand: _Handle) -> _Handle:
            product = ggml.ggml_mul_mat_id(context, weights[weight], operand, ids)
            return ggml.ggml_add_id(context, product, weights[bias], ids) if bias in weights else product

        activate = _ACTIVATIONS[config.activation]
        hidden = linear("w1", "b1", rows)
        if config.gated:
            hidden = ggml.ggml_mul(context, activate(context, linear("w_gate", "", rows)), hidden)
        else:
            hidden = activate(context, hidden)
        answers = ggml.ggml_mul(context, linear("w2", "b2", hidden), scale)
        row, slot = answers.contents.nb[2], answers.contents.nb[1]
        ranks = [ggml.ggml_view_2d(context, answers, config.d_model, tokens, row, rank * slot) for rank in range(k)]
        total = ranks[0]
        for rank in ranks[1:]:
            total = ggml.ggml_add(context, total, rank)
        # Of one rank the sum is a view, whose memory is not its own; ggml computes in float32.
        return total if k > 1 and self._type == ggml.GGML_TYPE_F32 else ggml.ggml_cast(context, total, self._type)


def _release(memory: _Handle, context: _Handle) -> None:
    ggml.ggml_gallocr_free(memory)
    ggml.ggml_free(context)
