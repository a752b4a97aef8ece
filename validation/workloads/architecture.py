"""Where the checkpoints of Hugging Face models say what a LayerConfig and a Layer say.

Sources: modeling_mixtral.py, modeling_qwen3_moe.py and modeling_deepseek_v3.py of transformers, with the config.json of
mistralai/Mixtral-8x7B-v0.1, Qwen/Qwen3-30B-A3B and deepseek-ai/DeepSeek-V3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One model's names.

    `dimensions` and `options` map fields of LayerConfig to keys of config.json; a dimension must be there, an option
    that is not has the value beside it, as in transformers. `always` are the fields that all of the model's layers
    share. `must_be` are keys of config.json whose other values would be another layer. `gate`, `up` and `down` name an
    expert's matrices.
    """

    name: str
    dimensions: Mapping[str, str]
    options: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    always: Mapping[str, Any] = field(default_factory=dict)
    must_be: Mapping[str, Any] = field(default_factory=dict)
    gate: str = "gate_proj"
    up: str = "up_proj"
    down: str = "down_proj"
    correction_bias: str = ""
    shared_experts: str = ""


#: Hugging Face's name of an activation -> ours.
ACTIVATIONS: Final = {"silu": "silu", "swish": "silu", "relu": "relu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh"}

#: `model_type` of config.json -> the model. Mixtral and Qwen3 compute logits in the model's dtype; DeepSeek-V3 widens
#: router and tokens to float32 first, and stores its correction bias so.
ARCHITECTURES: Final[dict[str, Architecture]] = {
    "mixtral": Architecture(
        name="Mixtral",
        dimensions={
            "d_model": "hidden_size",
            "d_ff": "intermediate_size",
            "n_experts": "num_local_experts",
            "top_k": "num_experts_per_tok",
        },
        gate="w1",
        up="w3",
        down="w2",
    ),
    "qwen3_moe": Architecture(
        name="Qwen3-MoE",
        dimensions={
            "d_model": "hidden_size",
            "d_ff": "moe_intermediate_size",
            "n_experts": "num_experts",
            "top_k": "num_experts_per_tok",
        },
        options={"renormalize": ("norm_topk_prob", False)},
    ),
    "deepseek_v3": Architecture(
        name="DeepSeek-V3",
        dimensions={
            "d_model": "hidden_size",
            "d_ff": "moe_intermediate_size",
            "n_experts": "n_routed_experts",
            "top_k": "num_experts_per_tok",
        },
        options={
            "renormalize": ("norm_topk_prob", True),
            "n_groups": ("n_group", 8),
            "top_groups": ("topk_group", 4),
            "routed_scaling": ("routed_scaling_factor", 2.5),
        },
        always={"router": "sigmoid", "correction_bias": True, "float32_router": True},
        must_be={"scoring_func": "sigmoid", "topk_method": "noaux_tc"},
        correction_bias="gate.e_score_correction_bias",
        shared_experts="n_shared_experts",
    ),
}
