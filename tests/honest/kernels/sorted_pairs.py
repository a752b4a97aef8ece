"""Pairs sorted by expert, summed by index_add; fills out and tells its routing."""

# As a user writes it: without annotations.
# mypy: ignore-errors

import torch


def prepare(layer):
    config = layer.config
    act = {
        "relu": torch.nn.functional.relu,
        "silu": lambda h: h * torch.sigmoid(h),
        "gelu": torch.nn.functional.gelu,
        "gelu_tanh": lambda h: torch.nn.functional.gelu(h, approximate="tanh"),
    }[config.activation]

    def forward(x, out):
        logits = x.double() @ layer.router_weight.double()
        if layer.router_bias is not None:
            logits += layer.router_bias.double()
        shares, ids = logits.softmax(1).sort(dim=1, descending=True, stable=True)
        shares, ids = shares[:, : config.top_k], ids[:, : config.top_k]
        if config.renormalize:
            shares = shares / shares.sum(1, keepdim=True)
        token = torch.arange(len(x)).repeat_interleave(config.top_k)
        order = ids.flatten().argsort(stable=True)
        total = torch.zeros(x.shape, dtype=torch.float32)
        start = 0
        for expert, count in enumerate(torch.bincount(ids.flatten(), minlength=config.n_experts).tolist()):
            pairs = order[start : start + count]
            start += count
            rows = x[token[pairs]]
            hidden = rows @ layer.w1[expert]
            if layer.b1 is not None:
                hidden = hidden + layer.b1[expert]
            hidden = act(hidden) if layer.w_gate is None else act(rows @ layer.w_gate[expert]) * hidden
            answer = hidden @ layer.w2[expert]
            if layer.b2 is not None:
                answer = answer + layer.b2[expert]
            total.index_add_(0, token[pairs], answer.float() * shares.flatten()[pairs, None].float())
        out.copy_(total)
        return None, ids, shares

    return forward
