"""ONNX Runtime: its own Mixture-of-Experts operator on the CPU, com.microsoft.MoE, behind a router's MatMul.

The operator takes router logits and does the rest: softmax, top-k, both matmuls, combine. It does not tell its routing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from onnx import TensorProto, helper, numpy_helper

from reference.published_layer import require_published

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer

#: A model is one protobuf message, which ends at 2 GiB.
_MOST_BYTES: Final = 2**31 - 2**20
#: Versions that ONNX Runtime 1.23, the first with the operator on a CPU, reads.
_OPSET: Final = 20
_IR: Final = 10
_ACTIVATIONS: Final = {"relu": "relu", "silu": "silu"}


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Returns the forward function over a session that holds the weights, transposed as the operator takes them.

    Raises:
        NotImplementedError: a layer that the operator does not compute, or that no model can hold.
    """
    require_published(layer, "ONNX Runtime's MoE")
    config = layer.config
    if config.gated or config.activation not in _ACTIVATIONS:
        raise NotImplementedError(
            f"ONNX Runtime's MoE computes {' and '.join(_ACTIVATIONS)} here, not gated; this layer is "
            f"{'gated ' if config.gated else ''}{config.activation}"
        )
    size = 4 * config.n_experts * 2 * config.d_model * config.d_ff
    if size > _MOST_BYTES:
        raise NotImplementedError(f"an ONNX model holds at most 2 GiB; this layer's experts are {size / 2**30:.1f} GiB")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads may spin within a call, and not on after it: beside the speed probe they made nine calls of ten not count.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(_model(layer), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()

    def forward(x: torch.Tensor, out: torch.Tensor) -> None:
        if len(x) == 0:
            return
        binding.bind_input("x", "cpu", 0, np.float32, tuple(x.shape), x.data_ptr())
        binding.bind_output("y", "cpu", 0, np.float32, tuple(out.shape), out.data_ptr())
        session.run_with_iobinding(binding)

    return forward


def _model(layer: Layer) -> bytes:
    """The graph x -> router -> MoE -> y as a serialized model."""
    config = layer.config
    weights = {"router": layer.router_weight, "w1": layer.w1.mT, "w2": layer.w2.mT}
    biases = {"router_bias": layer.router_bias, "b1": layer.b1, "b2": layer.b2}
    weights |= {name: tensor for name, tensor in biases.items() if tensor is not None}
    given = {name: name if name in weights else "" for name in ("b1", "b2")}
    nodes = [helper.make_node("MatMul", ["x", "router"], ["scores"])]
    if "router_bias" in weights:
        nodes.append(helper.make_node("Add", ["scores", "router_bias"], ["logits"]))
    nodes.append(
        helper.make_node(
            "MoE",
            ["x", nodes[-1].output[0], "w1", given["b1"], "w2", given["b2"]],
            ["y"],
            domain="com.microsoft",
            activation_type=_ACTIVATIONS[config.activation],
            k=config.top_k,
            normalize_routing_weights=int(config.renormalize),
        )
    )
    rows = [None, config.d_model]
    graph = helper.make_graph(
        nodes,
        "moe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, rows)],
        [numpy_helper.from_array(tensor.float().contiguous().numpy(), name) for name, tensor in weights.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
    return bytes(model.SerializeToString())
