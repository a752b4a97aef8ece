"""Every token through every expert by einsum; returns its output and says nothing of its routing."""

# As a user writes it: without annotations.
# mypy: ignore-errors

import torch


def prepare(layer):
    config = layer.config
    act = {
        "relu": torch.relu,
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "gelu_tanh": lambda h: torch.nn.functional.gelu(h, approximate="tanh"),
    }[config.activation]

    def forward(x):
        logits = torch.einsum("td,de->te", x.float(), layer.router_weight.float())
        if layer.router_bias is not None:
            logits = logits + layer.router_bias.float()
        shares = logits.softmax(dim=-1)
        kept = torch.zeros_like(shares).scatter(1, shares.topk(config.top_k, dim=1).indices, 1.0)
        shares = shares * kept
        if config.renormalize:
            shares = shares / shares.sum(dim=1, keepdim=True)
        hidden = torch.einsum("td,edf->etf", x, layer.w1)
        if layer.b1 is not None:
            hidden = hidden + layer.b1[:, None, :]
        hidden = act(hidden) if layer.w_gate is None else act(torch.einsum("td,edf->etf", x, layer.w_gate)) * hidden
        answers = torch.einsum("etf,efd->etd", hidden, layer.w2)
        if layer.b2 is not None:
            answers = answers + layer.b2[:, None, :]
        return torch.einsum("etd,te->td", answers.float(), shares).to(x.dtype)

    return forward
