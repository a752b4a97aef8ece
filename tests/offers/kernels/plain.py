"""An honest kernel of ten lines for the published layer, and nothing else."""

import torch


def prepare(layer):
    k = layer.config.top_k

    def forward(x):
        weights, ids = torch.softmax(x @ layer.router_weight, dim=-1).topk(k)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        hidden = torch.relu(torch.einsum("td,edf->etf", x, layer.w1))
        outputs = torch.einsum("etf,efd->ted", hidden, layer.w2)
        return (outputs[torch.arange(len(x))[:, None], ids] * weights[..., None]).sum(dim=1)

    return forward
