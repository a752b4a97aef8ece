"""Hugging Face's Qwen3-MoE block as a candidate, built from a config: no weights are downloaded.

pip install 'moe-validation[transformers]'
moe-validation check --kernel examples/qwen3_moe_block.py:prepare --workload qwen3-t32
"""

import torch
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeConfig, Qwen3MoeSparseMoeBlock

ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "silu": "silu"}


def prepare(layer):
    c = layer.config
    config = Qwen3MoeConfig(
        hidden_size=c.d_model,
        moe_intermediate_size=c.d_ff,
        num_experts=c.n_experts,
        num_experts_per_tok=c.top_k,
        norm_topk_prob=c.renormalize,
        hidden_act=ACTIVATIONS[c.activation],
    )
    block = Qwen3MoeSparseMoeBlock(config).to(layer.w1.dtype).eval()
    block.gate.weight.data = layer.router_weight.T.contiguous()
    block.experts.gate_up_proj.data = torch.cat([layer.w_gate, layer.w1], dim=-1).transpose(1, 2).contiguous()
    block.experts.down_proj.data = layer.w2.transpose(1, 2).contiguous()
    return lambda x: block(x[None])[0]
