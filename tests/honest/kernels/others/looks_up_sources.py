"""Reads the source of every frame it is called from, as torch.compile does to tell where a graph came from."""

import inspect
import linecache
import sys

import torch


def prepare(layer):
    k = layer.config.top_k

    def forward(x):
        frame = sys._getframe(1)
        while frame is not None:
            linecache.checkcache(frame.f_code.co_filename)
            inspect.getsourcefile(frame)
            linecache.getlines(frame.f_code.co_filename)
            frame = frame.f_back
        weights, ids = torch.softmax(x @ layer.router_weight, -1).topk(k)
        weights = weights / weights.sum(-1, keepdim=True)
        out = torch.zeros_like(x)
        for e in range(layer.config.n_experts):
            token, slot = (ids == e).nonzero(as_tuple=True)
            out.index_add_(0, token, weights[token, slot, None] * (torch.relu(x[token] @ layer.w1[e]) @ layer.w2[e]))
        return out

    return forward
