"""`python -m tests.kernels_gpu.brought OUT.json`: how long choosing experts and placing pairs take alone."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from tests.kernels_gpu.brought import installed
from tests.kernels_gpu.brought.flashinfer import flashinfer_choosing
from tests.kernels_gpu.brought.placing import placing
from tests.kernels_gpu.reference_gpu import make_tokens
from tests.kernels_gpu.time_on_gpu import GATED, SHAPES, events_us, graph_of

if TYPE_CHECKING:
    from collections.abc import Callable


def _ways_of_placing(layer: Any, rows: int) -> dict[str, Callable[[torch.Tensor], object]]:
    """PyTorch's of both; where nvcc is, FlashInfer's of choosing, and of both, in the nearest tiles that it has."""
    choose = placing(layer)
    ways: dict[str, Callable[[torch.Tensor], object]] = {"pytorch": lambda x: choose(x, rows)}
    if "flashinfer_cutlass" not in installed():
        return ways
    from flashinfer.fused_moe.cute_dsl.moe_utils import moe_sort  # noqa: PLC0415 - only where it is installed

    its, c = flashinfer_choosing(layer), layer.config

    def place(x: torch.Tensor) -> object:
        weights, ids = its(x)
        return moe_sort(ids, weights, c.n_experts, c.top_k, tile_tokens_dim=max(rows, 64), enable_pdl=True)

    return ways | {"flashinfer_choosing": its, "flashinfer": place}


def main() -> int:
    """Writes the median microseconds of choosing and placing alone, in graphs as time_on_gpu.py has them."""
    took: dict[str, dict[str, float]] = {}
    for name in GATED:
        t, d, _f, experts, k = SHAPES[name]
        torch.compiler.reset()
        router = (torch.randn(d, experts, device="cuda") * d**-0.5).bfloat16()
        layer = SimpleNamespace(config=SimpleNamespace(n_experts=experts, top_k=k), router_weight=router)
        xs = [make_tokens(t, d, torch.bfloat16, seed=10 + i) for i in range(8)]
        ways = _ways_of_placing(layer, 16 if t < 4096 else 128)
        took[name] = {}
        for who, way in ways.items():
            for x in xs[:2]:
                way(x)
            torch.cuda.synchronize()
            graph = graph_of(lambda x, _: way(x), xs, xs[0])  # noqa: B023 - it runs before the loop goes on
            took[name][who] = statistics.median(events_us(graph.replay, None, 60)[2:]) / len(xs)
    Path(sys.argv[1]).write_text(json.dumps(took, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
