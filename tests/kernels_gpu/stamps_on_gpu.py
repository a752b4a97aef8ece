# ruff: noqa: T201 - a script run by hand; its output is its report
"""Where a call's cycles go: `python stamps_on_gpu.py SHAPE ...` with a bundle compiled with `-D MOE_STAMPS`.

Prints, for each stamp that the kernel passes (kernels/gpu/hopper/stamp.mojo), the cycles since the block's first:
least, median and most over the blocks, each the median of fifteen replays of a graph.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kernels_gpu.reference_gpu import make_layer, make_tokens
from tests.kernels_gpu.time_on_gpu import SHAPES
from validation.implementations.mojo_gpu import prepare

COUNTERS, BLOCKS, STAMPS, REPLAYS = 8192, 132, 16, 15


def cycles_of(name: str) -> torch.Tensor:
    """Cycles since the first stamp [blocks, stamps]."""
    t, d, f, experts, k = SHAPES[name]
    forward = prepare(make_layer(d=d, f=f, experts=experts, k=k, dtype=torch.bfloat16))
    words = torch.zeros(COUNTERS + BLOCKS * STAMPS * 2, dtype=torch.int32, device="cuda")
    object.__setattr__(forward.__self__.layer, "sync", words)  # type: ignore[attr-defined]
    xs = [make_tokens(t, d, torch.bfloat16, seed=10 + i) for i in range(4)]
    out = torch.empty_like(xs[0])
    for x in xs:
        forward(x, out)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for x in xs:
            forward(x, out)
    replays = []
    for _ in range(REPLAYS):
        graph.replay()
        torch.cuda.synchronize()
        read = words[COUNTERS:].view(torch.int64).view(BLOCKS, STAMPS).cpu()
        read = read[read[:, 0] > 0].double()
        replays.append(read - read[:, :1])
    return torch.stack(replays).median(0).values


def main() -> int:
    """Prints the table of each named shape."""
    for name in sys.argv[1:]:
        print(name)
        cycles = cycles_of(name)
        for i in range(STAMPS):
            if (cycles[:, i] >= 0).all():
                print(f"  {i:2} {cycles[:, i].min():9.0f} {cycles[:, i].median():9.0f} {cycles[:, i].max():9.0f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
