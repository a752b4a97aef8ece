"""A wasteful kernel that leaves its work on another stream: between the events of its own stream nothing happens.

It computes the layer in float64, sixteen times at once: asking for that takes the host a tenth of what the GPU needs.
"""

import torch

TIMES = 16


def prepare(layer):
    config, side = layer.config, torch.cuda.Stream()
    router, w1, w2 = layer.router_weight.float(), layer.w1.double(), layer.w2.double()
    w1, w2 = (w.repeat(TIMES, 1, 1) for w in (w1, w2))

    def forward(x, out):
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            values, ids = (x.float() @ router).topk(config.top_k, dim=-1)
            share = torch.zeros(len(x), config.n_experts, device=x.device).scatter_(1, ids, values.softmax(-1))
            every = torch.bmm(torch.matmul(x.double(), w1).relu_(), w2)[-config.n_experts :]
            out.copy_(torch.einsum("etd,te->td", every.float(), share))

    return forward
