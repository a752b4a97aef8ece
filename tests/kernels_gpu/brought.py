"""Other projects' MoE kernels as peers of a gated bfloat16 layer, where they are installed: nothing depends on them.

SonicMoE (packages sonic-moe and quack-kernels, with NVIDIA's CuTe DSL) compiles and tunes itself at its first call of a
size. Of SGLang and FlashInfer a few folders of their wheels suffice: SGLang's Triton kernels and the tiles tuned for
them; FlashInfer's two matmuls for Hopper in the CuTe DSL, whose tiles are tried here as its tuner would. What their
C++ does beside these (choosing experts, placing pairs in whole tiles) is PyTorch's here, compiled. Where nvcc is,
FlashInfer compiles its own: then its layer is called whole, and its CUTLASS form is a peer too. How long choosing and
placing take alone, `python -m tests.kernels_gpu.brought OUT.json` tells.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import statistics
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def sonicmoe(layer: Any) -> Callable[..., object]:
    """Its steps at inference, as its moe_TC_softmax_topk_layer takes them; the sum goes into `out`."""
    from quack.gemm_interface import gemm, gemm_gated  # noqa: PLC0415 - see above
    from sonicmoe import functional as sonic  # noqa: PLC0415
    from sonicmoe.functional.reduction_over_k_gather import token_gather_and_sum_varlen_K_triton  # noqa: PLC0415

    c = layer.config
    experts, k = c.n_experts, c.top_k
    # [E, 2 f, d], rows (gate, up) of each feature, and [E, d, f].
    w1 = torch.stack([layer.w_gate.mT, layer.w1.mT], dim=2).flatten(1, 2)
    w2 = layer.w2.mT.contiguous()
    router = layer.router_weight.T.contiguous()

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        logits = torch.nn.functional.linear(x, router)
        scores, ids = sonic.TC_Softmax_Topk_Router_Function.apply(logits, experts, k, True, False)
        pairs = ids.numel()
        places, back, rows, counts, starts = (
            torch.empty(n, dtype=torch.int32, device=x.device) for n in (pairs, pairs, pairs, experts, experts + 1)
        )
        sonic.TC_topk_router_metadata_triton(ids, experts, counts, starts, rows, places, back)
        hidden = x.new_empty((pairs, c.d_ff))
        gemm_gated(
            x, w1.mT, activation="swiglu", cu_seqlens_m=starts, A_idx=rows, postact_out=hidden, store_preact=False
        )
        y = x.new_empty((pairs, c.d_model))
        gemm(hidden, w2.mT, out=y, cu_seqlens_m=starts)
        weights = scores.view(-1)
        token_gather_and_sum_varlen_K_triton(y, weights, out, back, None, len(x), k, c.d_model, is_varlen_K=False)
        return None, ids, scores

    return forward


def placing(layer: Any) -> Callable[[torch.Tensor, int], tuple[torch.Tensor, ...]]:
    """Chooses experts, and places pairs in tiles of so many rows of one expert.

    Returns weights and ids [T, k], the pair of each row, the expert and the end of rows of each tile, and [1] rows.
    """
    experts, k = layer.config.n_experts, layer.config.top_k

    @torch.compile(dynamic=False)
    def choose(x: torch.Tensor, rows: int) -> tuple[torch.Tensor, ...]:
        best, ids = (x @ layer.router_weight).float().topk(k, dim=-1)
        pairs = ids.numel()
        flat, order = ids.flatten().sort(stable=True)
        counts = torch.zeros(experts, dtype=torch.int64, device=x.device).scatter_add_(0, flat, torch.ones_like(flat))
        padded = (counts + rows - 1) // rows * rows
        ends = padded.cumsum(0)
        starts = ends - padded
        place = (starts - counts.cumsum(0) + counts)[flat] + torch.arange(pairs, device=x.device)
        tiles = pairs if pairs <= experts else (pairs + experts * (rows - 1)) // rows
        pair = torch.full((tiles * rows,), pairs, dtype=torch.int32, device=x.device)
        pair[place] = order.to(torch.int32)
        first = torch.arange(0, tiles * rows, rows, device=x.device)
        of = torch.searchsorted(ends, first, right=True).clamp(max=experts - 1)
        until = (starts + counts)[of]
        return (best.softmax(-1), ids.to(torch.int32), pair, *(t.to(torch.int32) for t in (of, until, ends[-1:])))

    return choose


def sglang(layer: Any) -> Callable[..., object]:
    """Its two Triton matmuls, activation and sum, in the tiles that it takes for a number of tokens on an H200."""
    import triton.language as tl  # noqa: PLC0415 - see above

    c = layer.config
    experts, k = c.n_experts, c.top_k
    kernels, tiles = _sglang_kernels(), _sglang_tiles(experts, c.d_ff)
    w1 = torch.cat([layer.w_gate.mT, layer.w1.mT], dim=1)
    w2 = layer.w2.mT.contiguous()

    choose = placing(layer)

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        tokens = len(x)
        tile = tiles(tokens)
        weights, ids, order, of, _, n = choose(x, tile["BLOCK_SIZE_M"])

        def multiply(rows: torch.Tensor, matrices: torch.Tensor, to: torch.Tensor, *, last: bool) -> None:
            kernels.invoke_fused_moe_kernel(
                rows, matrices, None, to, None, None, None, weights, ids, order, of, n, last, 1 if last else k, tile,
                compute_type=tl.bfloat16, use_fp8_w8a8=False, use_int8_w8a8=False, use_int8_w8a16=False,
                use_int4_w4a16=False, per_channel_quant=False,
            )  # fmt: skip

        both = x.new_empty((tokens * k, 2 * c.d_ff))
        multiply(x, w1, both, last=False)
        hidden = x.new_empty((tokens * k, c.d_ff))
        kernels.act_and_mul_triton(both, hidden, tile)
        y = x.new_empty((tokens, k, c.d_model))
        multiply(hidden, w2, y, last=True)
        kernels.moe_sum_reduce_triton(y, out, 1.0)
        return None, ids, weights

    return forward


def _sglang_folder() -> Path:
    spec = importlib.util.find_spec("sglang")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def _sglang_kernels() -> Any:
    """The file of its Triton kernels; what it asks the rest of the package is answered as on a Hopper GPU."""

    def no(*_: object) -> bool:
        return False

    def yes(*_: object) -> bool:
        return True

    quantized = dict.fromkeys(
        (
            "per_token_group_quant_fp8", "scaled_fp8_quant", "sglang_per_token_group_quant_fp8",
            "per_token_group_quant_int8", "per_token_quant_int8", "sglang_per_token_group_quant_int8",
        )
    )  # fmt: skip
    answers: dict[str, dict[str, Any]] = {
        "kernels.jit.utils": {"is_arch_support_pdl": yes},
        "kernels.ops.quantization.fp8_kernel": quantized,
        "kernels.ops.quantization.int8_kernel": quantized,
        "srt.batch_invariant_ops": {"is_batch_invariant_mode_enabled": no},
        "srt.environ": {"envs": SimpleNamespace(SGLANG_USE_AITER=SimpleNamespace(get=no))},
        "srt.layers.moe.utils": {"get_moe_padding_size": lambda _: 0},
        "srt.utils": {
            "cpu_has_amx_support": no, "is_cpu": no, "is_cuda": yes, "is_hip": no, "is_sm90_supported": yes,
        },
    }  # fmt: skip
    for name, has in answers.items():
        module = sys.modules[f"sglang.{name}"] = ModuleType(f"sglang.{name}")
        vars(module).update(has)
    path = _sglang_folder() / "kernels" / "ops" / "moe" / "fused_moe_triton_kernels.py"
    spec = importlib.util.spec_from_file_location("sglang_fused_moe_triton_kernels", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def _sglang_tiles(experts: int, d_ff: int) -> Callable[[int], dict[str, int]]:
    """Tiles by the number of tokens: those tuned with the newest Triton for such experts on an H200, or its default."""
    folder = _sglang_folder() / "srt" / "layers" / "moe" / "moe_runner" / "triton_utils" / "configs"
    files = folder.glob(f"triton_*/E={experts},N={d_ff},device_name=NVIDIA_H200.json")
    newest = max(files, key=lambda p: [int(n) for n in p.parent.name.split("_")[1:]], default=None)
    if newest is not None:
        tuned = {int(tokens): tile for tokens, tile in json.loads(newest.read_text()).items()}
        return lambda tokens: dict(tuned[min(tuned, key=lambda n: abs(n - tokens))])
    few = {"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1}
    many = {"BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 64, "BLOCK_SIZE_K": 32, "GROUP_SIZE_M": 8}
    return lambda tokens: dict(few if tokens <= experts else many)


def flashinfer(layer: Any) -> Callable[..., object]:
    """Its layer for Hopper in the CuTe DSL: whole where nvcc is, else its matmuls."""
    return (_flashinfer_whole if shutil.which("nvcc") else _flashinfer_matmuls)(layer)


def _flashinfer_whole(layer: Any) -> Callable[..., object]:
    from flashinfer.fused_moe.cute_dsl import sm90_fused_moe as its  # noqa: PLC0415 - see above
    from flashinfer.fused_moe.cute_dsl.sm90_contiguous_gather_grouped_gemm_act_fusion import (  # noqa: PLC0415
        _interleave_gated_halves as interleave,
    )

    c = layer.config
    w1 = interleave(layer.w1.mT, layer.w_gate.mT)
    w2 = layer.w2.mT.contiguous()

    def experts(x: torch.Tensor, out: torch.Tensor, weights: torch.Tensor, ids: torch.Tensor) -> None:
        its.cute_dsl_fused_moe_bf16(x, ids, weights, w1, w2, c.n_experts, c.top_k, moe_output=out)

    return _flashinfer_tuned(layer, experts)


def flashinfer_cutlass(layer: Any) -> Callable[..., object]:
    """Its layer of CUTLASS's matmuls, which expands, activates and sums by kernels of its own."""
    from flashinfer.fused_moe import cutlass_fused_moe  # noqa: PLC0415 - see above

    w1 = torch.cat([layer.w1.mT, layer.w_gate.mT], dim=1)
    w2 = layer.w2.mT.contiguous()

    def experts(x: torch.Tensor, out: torch.Tensor, weights: torch.Tensor, ids: torch.Tensor) -> None:
        cutlass_fused_moe(x, ids, weights, w1, w2, x.dtype, quant_scales=None, output=out)

    return _flashinfer_tuned(layer, experts)


def flashinfer_choosing(layer: Any) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Weights and ids [T, k]: the k best by its kernel for DeepSeek's router, without groups and bias.

    That one weighs by sigmoids, and its softmax is for newer GPUs only: the chosen logits' softmax is PyTorch's,
    compiled. Its check of groups asks as many groups as experts a token, which the kernel does not need.
    """
    from flashinfer.fused_moe import fused_topk_deepseek  # noqa: PLC0415 - see above

    c = layer.config
    bias = torch.zeros(c.n_experts, device="cuda")

    @torch.compile(dynamic=False)
    def weigh(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return logits.gather(1, ids.long()).softmax(-1)

    def choose(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.mm(x, layer.router_weight, out_dtype=torch.float32)
        sigmoids = logits.new_empty((len(x), c.top_k))
        ids = torch.empty((len(x), c.top_k), dtype=torch.int32, device=x.device)
        fused_topk_deepseek(logits, bias, 1, 1, c.top_k, 1.0, sigmoids, ids, skip_check=True)
        return weigh(logits, ids), ids

    return choose


def _flashinfer_tuned(layer: Any, experts: Callable[..., None]) -> Callable[..., object]:
    """Chosen and run as its tuner finds best, which tries all that it has at the first call of a size.

    FLASHINFER_TUNED names a folder that keeps what was found.
    """
    from flashinfer.autotuner import autotune  # noqa: PLC0415 - see above

    choose = flashinfer_choosing(layer)
    folder = os.environ.get("FLASHINFER_TUNED")
    tuned: set[int] = set()

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        weights, ids = choose(x)
        size, is_first = len(x), len(x) not in tuned
        kept = str(Path(folder) / f"k{layer.config.top_k}.json") if folder and is_first else None
        with autotune(is_first, cache=kept, tuning_buckets=(size,)):
            experts(x, out, weights, ids)
        tuned.add(size)
        return None, ids, weights

    return forward


def _flashinfer_matmuls(layer: Any) -> Callable[..., object]:
    """Its matmuls, the first with activation, the second adding into `out`, in the fastest of some of its tiles."""
    first, second, interleave = _flashinfer_kernels()
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
def _flashinfer_kernels() -> tuple[Callable[..., Any], ...]:
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


#: Rows of both matmuls' tiles; columns and swizzle of the first's, columns and cluster of the second's.
_Tiles = tuple[int, tuple[int, int], tuple[int, tuple[int, int]]]
BROUGHT = {
    "sonicmoe": sonicmoe, "sglang": sglang, "flashinfer": flashinfer, "flashinfer_cutlass": flashinfer_cutlass,
}  # fmt: skip


def installed() -> dict[str, Callable[[Any], Callable[..., object]]]:
    """Those whose package is here; one of FlashInfer's is nothing without nvcc."""
    return {
        who: bring
        for who, bring in BROUGHT.items()
        if importlib.util.find_spec(who.partition("_")[0]) and (who != "flashinfer_cutlass" or shutil.which("nvcc"))
    }


def _ways_of_placing(layer: Any, rows: int) -> dict[str, Callable[[torch.Tensor], object]]:
    """PyTorch's of both; where nvcc is, FlashInfer's of choosing, and of both, in the nearest tiles that it has."""
    choose = placing(layer)
    ways: dict[str, Callable[[torch.Tensor], object]] = {"pytorch": lambda x: choose(x, rows)}
    if "flashinfer_cutlass" not in installed():
        return ways
    from flashinfer.fused_moe.cute_dsl.moe_utils import moe_sort  # noqa: PLC0415 - see above

    its, c = flashinfer_choosing(layer), layer.config

    def place(x: torch.Tensor) -> object:
        weights, ids = its(x)
        return moe_sort(ids, weights, c.n_experts, c.top_k, tile_tokens_dim=max(rows, 64), enable_pdl=True)

    return ways | {"flashinfer_choosing": its, "flashinfer": place}


def main() -> int:
    """Writes the median microseconds of choosing and placing alone, in graphs as time_on_gpu.py has them."""
    from tests.kernels_gpu.reference_gpu import make_tokens  # noqa: PLC0415 - time_on_gpu imports this file
    from tests.kernels_gpu.time_on_gpu import GATED, SHAPES, events_us, graph_of  # noqa: PLC0415

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
