"""Hugging Face's Mixtral block as a candidate, built from a config: no weights are downloaded.

pip install 'moe-validation[transformers]'
moe-validation check --kernel examples/mixtral_block.py:prepare --workload mixtral-t16
"""

import torch
from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralSparseMoeBlock

ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "silu": "silu"}


def prepare(layer):
    c = layer.config
    config = MixtralConfig(
        hidden_size=c.d_model,
        intermediate_size=c.d_ff,
        num_local_experts=c.n_experts,
        num_experts_per_tok=c.top_k,
        hidden_act=ACTIVATIONS[c.activation],
    )
    block = MixtralSparseMoeBlock(config).to(layer.w1.dtype).eval()
    block.gate.weight.data = layer.router_weight.T.contiguous()
    block.experts.gate_up_proj.data = torch.cat([layer.w_gate, layer.w1], dim=-1).transpose(1, 2).contiguous()
    block.experts.down_proj.data = layer.w2.transpose(1, 2).contiguous()
    return lambda x: block(x[None])[0]
