"""Small checkpoints as Hugging Face models store them, and the models' own code, written down from transformers."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch.nn import functional

from validation.workloads.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model's config.json, the prefix of its layer, and the names of an expert's gate, up and down matrices."""

    config: dict[str, Any]
    prefix: str
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")


MIXTRAL = Model(
    config={
        "model_type": "mixtral",
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 24,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
    prefix="model.layers.0.block_sparse_moe",
    names=("w1", "w3", "w2"),
)
QWEN3 = Model(
    config={
        "model_type": "qwen3_moe",
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 99,
        "moe_intermediate_size": 24,
        "num_experts": 16,
        "num_experts_per_tok": 4,
        "norm_topk_prob": True,
    },
    prefix="model.layers.5.mlp",
)
DEEPSEEK = Model(
    config={
        "model_type": "deepseek_v3",
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 99,
        "moe_intermediate_size": 24,
        "n_routed_experts": 16,
        "num_experts_per_tok": 3,
        "n_shared_experts": 2,
        "n_group": 4,
        "topk_group": 2,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
    },
    prefix="model.layers.3.mlp",
)
MODELS = (
    MIXTRAL,
    QWEN3,
    Model(config={**QWEN3.config, "norm_topk_prob": False}, prefix=QWEN3.prefix),
    DEEPSEEK,
)


def write(folder: Path, model: Model, dtype: torch.dtype) -> tuple[Checkpoint, Tensors]:
    """Returns the checkpoint written into `folder`, and its tensors."""
    random = torch.Generator().manual_seed(1)
    config, d = model.config, model.config["hidden_size"]

    def drawn(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=random) / math.sqrt(shape[-1])).to(dtype)

    def ffn(name: str, width: int) -> Tensors:
        shapes = dict(zip(model.names, ((width, d), (width, d), (d, width)), strict=True))
        return {f"{model.prefix}.{name}.{part}.weight": drawn(*shape) for part, shape in shapes.items()}

    experts, width = _experts(config), config.get("moe_intermediate_size", config["intermediate_size"])
    tensors = {f"{model.prefix}.gate.weight": drawn(experts, d)}
    for expert in range(experts):
        tensors |= ffn(f"experts.{expert}", width)
    if "n_shared_experts" in config:
        tensors |= ffn("shared_experts", config["n_shared_experts"] * width)
        tensors[f"{model.prefix}.gate.e_score_correction_bias"] = torch.randn(experts, generator=random) / 10
    checkpoint = Checkpoint(weights=folder / "model.safetensors", prefix=model.prefix, config=folder / "config.json")
    save_file(tensors, checkpoint.weights)
    checkpoint.config.write_text(json.dumps(config))
    return checkpoint, tensors


def forward(model: Model, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
    """The layer as modeling_mixtral.py, modeling_qwen3_moe.py or modeling_deepseek_v3.py computes it, in x's dtype."""
    wide = {name.removeprefix(f"{model.prefix}."): tensor.to(x.dtype) for name, tensor in tensors.items()}
    gate, up, down = model.names

    def ffn(name: str, rows: torch.Tensor) -> torch.Tensor:
        opened = functional.silu(functional.linear(rows, wide[f"{name}.{gate}.weight"]))
        hidden = opened * functional.linear(rows, wide[f"{name}.{up}.weight"])
        answer: torch.Tensor = functional.linear(hidden, wide[f"{name}.{down}.weight"])
        return answer

    logits = functional.linear(x, wide["gate.weight"])
    choose = _deepseek if "n_group" in model.config else _softmax
    ids, weights = choose(model.config, logits, wide)
    out = torch.zeros_like(x)
    for expert in range(_experts(model.config)):
        token, slot = torch.where(ids == expert)
        out.index_add_(0, token, ffn(f"experts.{expert}", x[token]) * weights[token, slot, None])
    return out + ffn("shared_experts", x) if "n_shared_experts" in model.config else out


def _experts(config: dict[str, Any]) -> int:
    return int(next(config[key] for key in ("num_local_experts", "num_experts", "n_routed_experts") if key in config))


def _softmax(config: dict[str, Any], logits: torch.Tensor, _: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    weights, ids = logits.softmax(1).topk(config["num_experts_per_tok"], dim=-1)
    if config.get("norm_topk_prob", True):
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return ids, weights


def _deepseek(config: dict[str, Any], logits: torch.Tensor, wide: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """`DeepseekV3TopkRouter`, but that closed groups are -inf as in DeepSeek's own model.py, not 0."""
    scores = logits.sigmoid()
    for_choice = scores + wide["gate.e_score_correction_bias"]
    grouped = for_choice.view(len(scores), config["n_group"], -1)
    groups = grouped.topk(2, dim=-1)[0].sum(dim=-1).topk(config["topk_group"], dim=-1)[1]
    mask = torch.zeros(len(scores), config["n_group"], dtype=torch.bool).scatter_(1, groups, value=True)
    open_ = mask.unsqueeze(-1).expand_as(grouped).reshape(for_choice.shape)
    ids = for_choice.masked_fill(~open_, -torch.inf).topk(config["num_experts_per_tok"], dim=-1)[1]
    weights = scores.gather(1, ids)
    return ids, weights / (weights.sum(dim=-1, keepdim=True) + 1e-20) * config["routed_scaling_factor"]
