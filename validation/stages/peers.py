"""What others ship for the same layer, measured beside the baselines where there is time for it."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING, Final

from validation.implementations.menu import PEERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.implementations.implementation import Implementation
    from validation.workloads.layer import LayerConfig
    from validation.workloads.workload import Workload

#: A module that a peer cannot do without, and what brings it.
_NEEDS = {
    "onnx_moe": ("onnxruntime", "pip install onnx onnxruntime"),
    "ggml_moe": ("ggml", "pip install ggml-python, which compiles it"),
    "max_matmul": ("max", "pip install mojo max"),
}

#: A model is one protobuf message, which ends at 2 GiB.
_MODEL_BYTES = 2**31 - 2**20


def _onnx_takes(layer: LayerConfig) -> bool:
    size = 4 * layer.n_experts * 2 * layer.d_model * layer.d_ff
    return not layer.gated and layer.activation in {"relu", "silu"} and size < _MODEL_BYTES


def _ggml_takes(layer: LayerConfig) -> bool:
    return layer.activation != "gelu_tanh" and not layer.float32_router


def _max_takes(layer: LayerConfig) -> bool:
    return layer.activation == "relu" and not (layer.gated or layer.bias or layer.router_bias or layer.float32_router)


#: Whether a peer computes such a layer, and what it computes.
_TAKES: Final[dict[str, tuple[Callable[[LayerConfig], bool], str]]] = {
    "onnx_moe": (_onnx_takes, "its operator computes relu or silu, not gated, of weights below 2 GiB"),
    "ggml_moe": (_ggml_takes, "its graph has no tanh form of gelu, and a router of the layer's dtype"),
    "max_matmul": (_max_takes, "what is built over its matmul is the plain layer with relu, without biases"),
}


def chosen_peers(workload: Workload, device: str, profile: str) -> tuple[tuple[Implementation, ...], tuple[str, ...]]:
    """Returns the peers that `profile` measures on `workload`, and a line for each that it does not and why.

    Compiled ones compile in every process: 2 s from a warm cache, a minute from a cold one; MAX's compiles once on a
    machine. Only full waits for that.
    """
    chosen, left_out = [], []
    for one in PEERS.values():
        if not one.takes(0, workload.layer.dtype, device):
            continue
        title = f"{one.name} on {workload.name}"
        module, remedy = _NEEDS.get(one.name, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            left_out.append(f"{title}: {module} is not installed ({remedy})")
        elif one.published_only and not workload.layer.published:
            left_out.append(f"{title}: it computes the published layer alone, and this one is another")
        elif one.name in _TAKES and not _TAKES[one.name][0](workload.layer):
            left_out.append(f"{title}: {_TAKES[one.name][1]}")
        elif one.program and not shutil.which(one.program):
            left_out.append(f"{title}: {one.program} is not installed")
        elif not one.takes(workload.flops, workload.layer.dtype, device):
            left_out.append(f"{title}: {one.too_slow(workload.flops, workload.layer.dtype)}")
        elif profile == "smoke" or (profile != "full" and (one.program or one.family == "max")):
            left_out.append(f"{title}: takes long to start; only profile full measures it")
        else:
            chosen.append(one)
    return tuple(chosen), tuple(left_out)
