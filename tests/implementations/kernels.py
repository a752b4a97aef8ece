"""Kernels to be run in a worker, as text: honest ones, and one for every way to fail."""

from pathlib import Path
from textwrap import dedent, indent
from typing import Final

from validation.implementations.implementation import Implementation
from validation.implementations.limits import Limits
from validation.workloads.layer import LayerConfig

#: The layer of most tests here.
CONFIG: Final = LayerConfig(d_model=8, d_ff=16, n_experts=4, top_k=2)

#: A test that waits for the limit waits this long; a process that starts beside others needs some of it.
LIMITS: Final = Limits(seconds=20, memory_bytes=1 << 30)

#: The layer, written as a user would: fills `out`, tells its routing.
HONEST: Final = """
import torch

def prepare(layer):
    config = layer.config

    def forward(x, out):
        p = torch.softmax(x @ layer.router_weight, -1)
        weights, ids = p.topk(config.top_k)
        weights = weights / weights.sum(-1, keepdim=True)
        out.zero_()
        for e in range(config.n_experts):
            token, slot = (ids == e).nonzero(as_tuple=True)
            y = torch.relu(x[token] @ layer.w1[e]) @ layer.w2[e]
            out.index_add_(0, token, weights[token, slot, None] * y)
        return None, ids, weights

    return forward
"""


def kernel(folder: Path, source: str, name: str = "kernel", trusted: bool = False) -> Implementation:  # noqa: FBT001, FBT002
    """Writes `source` to a file of its own and returns it as an implementation."""
    path = folder / f"{name}.py"
    path.write_text(dedent(source))
    return Implementation(name=name, source=path, family="test", description="a test's kernel", trusted=trusted)


def forward_kernel(folder: Path, body: str, name: str = "kernel", parameters: str = "x, out") -> Implementation:
    """Returns a kernel whose `forward` has this body; torch, os, sys and the layer are at hand."""
    source = f"""
import os, sys, ctypes, time, signal, socket, threading
import torch

def prepare(layer):
    state = {{"calls": 0}}
    def forward({parameters}):
{indent(dedent(body), " " * 8)}
    return forward
"""
    return kernel(folder, source, name)
