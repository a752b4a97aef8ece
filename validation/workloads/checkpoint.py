"""A layer of a trained model, from its safetensors file and config.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from validation.usage import UsageError
from validation.workloads.architecture import ACTIVATIONS, ARCHITECTURES, Architecture
from validation.workloads.layer import Layer, LayerConfig
from validation.workloads.tensor_files import TensorFiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where a layer is: a .safetensors file or the .index.json of several, the layer's prefix, and the config.json."""

    weights: Path
    prefix: str
    config: Path


def load_layer(checkpoint: Checkpoint) -> Layer:
    """Returns the Mixture-of-Experts layer that the checkpoint names, on the CPU, its matrices as [in, out].

    Raises:
        UsageError: a file cannot be read, the model is none of those known, the weights are quantised, or a tensor is
            missing or has another shape than config.json gives it.
    """
    told = _read_config(checkpoint.config)
    architecture = _architecture(told, checkpoint.config)
    with TensorFiles(checkpoint.weights, checkpoint.prefix) as tensors:
        config = _layer_config(architecture, told, tensors, checkpoint.config)
        return Layer(config=config, **_weights(architecture, config, tensors))


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"--config must be the model's config.json; {path} cannot be read: {error}") from None
    if not isinstance(told, dict):
        raise UsageError(f"--config must be the model's config.json; {path} holds no object")
    return told


def _architecture(told: Mapping[str, Any], path: Path) -> Architecture:
    kind = told.get("model_type")
    if kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UsageError(f"model_type in {path} must be one of {known}, whose tensors are known; got {kind!r}")
    architecture = ARCHITECTURES[kind]
    if quantised := told.get("quantization_config"):
        method = quantised.get("quant_method", "unnamed") if isinstance(quantised, dict) else quantised
        raise UsageError(
            f"the layer's weights must be float32, bfloat16 or float16; {path} says that they are quantised ({method})."
            " Convert the checkpoint to bfloat16 first, and drop quantization_config from its config.json."
        )
    for key, value in architecture.must_be.items():
        if told.get(key, value) != value:
            raise UsageError(f"{key} of a {architecture.name} layer must be {value!r}; {path} has {told[key]!r}")
    return architecture


def _layer_config(architecture: Architecture, told: Mapping[str, Any], tensors: TensorFiles, path: Path) -> LayerConfig:
    for key in architecture.dimensions.values():
        if not isinstance(told.get(key), int):
            raise UsageError(f"{path} must give {key}, a whole number; got {told.get(key)!r}")
    activation = told.get("hidden_act", "silu")
    if activation not in ACTIVATIONS:
        raise UsageError(f"hidden_act in {path} must be one of {', '.join(ACTIVATIONS)}; got {activation!r}")
    fields: dict[str, Any] = {field: told[key] for field, key in architecture.dimensions.items()}
    fields |= {field: told.get(key, default) for field, (key, default) in architecture.options.items()}
    fields |= {"float32_router": tensors.dtype("gate.weight") == "float32"} | dict(architecture.always)
    if architecture.shared_experts:
        fields["shared_d_ff"] = (told.get(architecture.shared_experts) or 0) * fields["d_ff"]
    dtype = tensors.dtype(f"experts.0.{architecture.down}.weight")
    try:
        return LayerConfig(activation=ACTIVATIONS[activation], gated=True, dtype=dtype, **fields)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} describes no layer that can be: {error}") from None


def _weights(architecture: Architecture, config: LayerConfig, tensors: TensorFiles) -> dict[str, torch.Tensor]:
    """Every tensor of the Layer, by its field."""
    d, f, experts = config.d_model, config.d_ff, config.n_experts
    router = tensors.read("gate.weight", (experts, d)).T.contiguous()
    weights = {"router_weight": router.to(getattr(torch, config.router_dtype))}
    if architecture.correction_bias:
        weights["correction_bias"] = tensors.read(architecture.correction_bias, (experts,)).float()
    for field in ("w_gate", "w1", "w2"):
        weights[field] = torch.empty((experts, f, d) if field == "w2" else (experts, d, f), dtype=_dtype(config))
    for expert in range(experts):
        for field, matrix in _ffn(architecture, config, tensors, f"experts.{expert}", f).items():
            weights[field][expert] = matrix
    if config.shared_d_ff:
        shared = _ffn(architecture, config, tensors, "shared_experts", config.shared_d_ff)
        weights |= {f"shared_{field}": matrix.contiguous() for field, matrix in shared.items()}
    return weights


def _ffn(
    architecture: Architecture, config: LayerConfig, tensors: TensorFiles, name: str, width: int
) -> dict[str, torch.Tensor]:
    """The three matrices of one expert, as views [in, out] of what linear layers store as [out, in]."""
    d = config.d_model
    stored = {
        "w_gate": (architecture.gate, (width, d)),
        "w1": (architecture.up, (width, d)),
        "w2": (architecture.down, (d, width)),
    }
    return {
        field: tensors.read(f"{name}.{matrix}.weight", shape, config.dtype).T
        for field, (matrix, shape) in stored.items()
    }


def _dtype(config: LayerConfig) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, config.dtype)
    return dtype
