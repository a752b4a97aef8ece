"""FlashInfer's two matmuls for Hopper in the CuTe DSL alone, whose tiles are tried here as its tuner would."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from tests.kernels_gpu.brought.placing import placing

if TYPE_CHECKING:
    from collections.abc import Callable

#: Rows of both matmuls' tiles; columns and swizzle of the first's, columns and cluster of the second's.
_Tiles = tuple[int, tuple[int, int], tuple[int, tuple[int, int]]]


def matmuls(layer: Any) -> Callable[..., object]:
    """Its matmuls, the first with activation, the second adding into `out`, in the fastest of some of its tiles."""
    first, second, interleave = _kernels()
    c = layer.config
    k = c.top_k
    w1 = interleave(layer.w1.mT, layer.w_gate.mT)
    w2 = layer.w2.mT.contiguous()
    choose = placing(layer)
    best: dict[int, _Tiles] = {}

    def multiply(x: torch.Tensor, out: torch.Tensor, tiles: _Tiles) -> tuple[object, ...]:
        rows, (n1, swizzle), (n2, cluster) = tiles
        weights, ids, pair, of, until, total = choose(x, rows)
        live = total // rows
        hidden = first(
            x, w1, of, until, pair, live, topk=k, permuted_m=len(pair), tile_shape_mn=(rows, n1), swizzle_size=swizzle
        )
        out.zero_()
        shape = {"tile_shape_mn": (rows, n2), "cluster_shape_mn": cluster}
        second(hidden, w2, of, until, pair, live, weights, out, topk=k, **shape)
        return None, ids, weights

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        if len(x) not in best:
            best[len(x)] = fastest(x, out)
        return multiply(x, out, best[len(x)])

    def fastest(x: torch.Tensor, out: torch.Tensor) -> _Tiles:
        """One matmul's tiles after the other's, for each number of rows."""

        def took(tiles: _Tiles) -> float:
            try:
                for _ in range(2):
                    multiply(x, out, tiles)
            except ValueError:  # not a tile that it has for these sizes
                return math.inf
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                multiply(x, out, tiles)
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            graph.replay()
            start.record()
            for _ in range(5):
                graph.replay()
            end.record()
            torch.cuda.synchronize()
            return float(start.elapsed_time(end))

        many = len(x) * k >= 8 * c.n_experts
        of_first = [(n, s) for n in (128, 256) for s in (1, 8)] if many else [(n, 1) for n in (64, 128, 256)]
        of_second = [
            (n, (1, by)) for n in ((128, 256) if many else (64, 128, 256)) for by in ((1, 2) if many else (1,))
        ]
        found = []
        for rows in (64, 128) if many else (64,):
            tried = min((took((rows, one, (128, (1, 1)))), one) for one in of_first)[1]
            found.append(min((took((rows, tried, other)), (rows, tried, other)) for other in of_second))
        return min(found)[1]

    return forward


@cache
def _kernels() -> tuple[Callable[..., Any], ...]:
    """Its two matmuls and how it lays out features and gates; of the package only what these need is imported."""
    spec = importlib.util.find_spec("flashinfer")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations)))
    for name in ("", ".cute_dsl", ".fused_moe", ".fused_moe.cute_dsl", ".jit"):
        package = sys.modules[f"flashinfer{name}"] = ModuleType(f"flashinfer{name}")
        package.__path__, package.__spec__ = [str(folder.joinpath(*name.split(".")))], spec

    def unlogged(f: Any = None, **_: Any) -> Any:
        return f or (lambda g: g)

    answers: dict[str, dict[str, Any]] = {
        "api_logging": {"flashinfer_api": unlogged},
        "jit.moe_utils": {"gen_moe_utils_module": None},
        "utils": {"get_compute_capability": torch.cuda.get_device_capability},
    }
    for name, has in answers.items():
        module = sys.modules[f"flashinfer.{name}"] = ModuleType(f"flashinfer.{name}")
        vars(module).update(has)
    at = "flashinfer.fused_moe.cute_dsl.sm90_contiguous_"
    gather = importlib.import_module(f"{at}gather_grouped_gemm_act_fusion")
    finalize = importlib.import_module(f"{at}grouped_gemm_finalize_fusion")
    return (
        gather.sm90_contiguous_gather_grouped_gemm_act_fusion,
        finalize.sm90_contiguous_grouped_gemm_finalize_fusion,
        gather._interleave_gated_halves,
    )
