"""The honest kernel that the cheats are made from: loops over experts, fills `out`, tells its routing."""

import torch


def forward_of(layer):
    top_k = layer.config.top_k

    def forward(x, out):
        weights, ids = torch.softmax(x @ layer.router_weight, -1).topk(top_k)
        weights = weights / weights.sum(-1, keepdim=True)
        out.zero_()
        for e in range(layer.config.n_experts):
            token, slot = (ids == e).nonzero(as_tuple=True)
            y = torch.relu(x[token] @ layer.w1[e]) @ layer.w2[e]
            out.index_add_(0, token, weights[token, slot, None] * y)

    return forward


prepare = forward_of
