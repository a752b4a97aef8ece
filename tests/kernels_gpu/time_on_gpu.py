# ruff: noqa: T201, B023 - a script run by hand; its closures run before the loop goes on
"""Times of the Mojo GPU kernel and of PyTorch's ways on one GPU: `python time_on_gpu.py OUT.json [shape ...]`.

`--mojo-only` leaves the others out, `--only=NAME,NAME` all but Mojo and those; `--table` measures nothing and prints
OUT.json as the table of docs/H200.md; `--float32` times float32 (PyTorch's products too, not TF32) at the shapes that
fit. `--gated` times the real models as ReLU and as SwiGLU, the latter beside compiled forms, Triton and what brought
finds; its table tells each one's share of its floor.

Whole layer, bfloat16, ReLU, no biases. Every contender is checked against float64 before it is timed. In a CUDA graph:
the median over replays of a graph of calls that rotate through several inputs; eager: CUDA events around single calls.
Cold: 120 MB are written between calls, twice the L2. Contenders take turns, three rounds.
"""

from __future__ import annotations

import ctypes
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kernels_gpu.brought import BROUGHT, installed
from tests.kernels_gpu.floors import BOX, COOPERATIVE, Floors
from tests.kernels_gpu.reference_gpu import answer, make_layer, make_tokens
from validation.implementations.mojo_gpu import prepare

SHAPES: dict[str, tuple[int, int, int, int, int]] = {
    "seed-claim": (1024, 256, 1024, 4, 2),
    "seed-quick": (512, 128, 512, 4, 2),
    "seed-small": (16384, 1024, 4096, 8, 2),
    "seed-serving": (16384, 2048, 8192, 8, 2),
    "qwen3-t1": (1, 2048, 768, 128, 8),
    "qwen3-t32": (32, 2048, 768, 128, 8),
    "qwen3-t4096": (4096, 2048, 768, 128, 8),
    "mixtral-t16": (16, 4096, 14336, 8, 2),
    "mixtral-t4096": (4096, 4096, 14336, 8, 2),
    "deepseek-t1": (1, 7168, 2048, 256, 8),
    "deepseek-t32": (32, 7168, 2048, 256, 8),
    "deepseek-t4096": (4096, 7168, 2048, 256, 8),
}
#: In float32 four times the bytes or more, and a sixth of the rate: without the largest.
IN_FLOAT32 = [s for s in SHAPES if not s.startswith(("deepseek", "mixtral-t4096", "seed-serving"))]
#: The models whose experts are gated.
GATED = [s for s in SHAPES if not s.startswith("seed")]
#: Largest rms error over rms of the answer of a contender that is timed.
LIMIT = {torch.bfloat16: 1.5e-2, torch.float32: 1e-5}
Forward = "Callable[[torch.Tensor, torch.Tensor], object]"


def route(layer: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and ids of the k best experts."""
    values, ids = (x @ layer.router_weight).float().topk(layer.config.top_k, dim=-1)
    return values.softmax(-1), ids


def first_weights(layer: Any) -> torch.Tensor:
    """The first matmul's [E, d, f]; gated [E, d, 2 f], features and gates side by side as serving engines have them."""
    return layer.w1 if layer.w_gate is None else torch.cat([layer.w1, layer.w_gate], dim=2)


def activate(layer: Any, product: torch.Tensor) -> torch.Tensor:
    """Hidden features of what `first_weights` made."""
    if layer.w_gate is None:
        return product.relu_()
    up, gate = product.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate).mul_(up)


def grouped(layer: Any) -> Callable[..., object]:
    """PyTorch's grouped_mm on sorted pairs: the strongest of PyTorch's ways on real shapes."""
    k, n = layer.config.top_k, layer.config.n_experts
    w1 = first_weights(layer).transpose(1, 2).contiguous().transpose(1, 2)
    w2 = layer.w2.transpose(1, 2).contiguous().transpose(1, 2)

    def forward(x: torch.Tensor, out: torch.Tensor) -> None:
        weights, ids = route(layer, x)
        flat, order = ids.flatten().sort(stable=True)
        ends = torch.searchsorted(flat, torch.arange(n, device=x.device), right=True).to(torch.int32)
        hidden = activate(layer, torch.nn.functional.grouped_mm(x[order // k], w1, offs=ends))
        y = torch.nn.functional.grouped_mm(hidden, w2, offs=ends)
        back = torch.empty_like(y)
        back[order] = y
        out.copy_((back.view(-1, k, x.shape[1]) * weights[..., None].to(y.dtype)).sum(1))

    return forward


def dense(layer: Any) -> Callable[..., object]:
    """Every expert on every token, the unchosen weighted by zero: no dispatch at all."""
    w1 = first_weights(layer)

    def forward(x: torch.Tensor, out: torch.Tensor) -> None:
        weights, ids = route(layer, x)
        full = torch.zeros((x.shape[0], layer.config.n_experts), device=x.device, dtype=x.dtype)
        full.scatter_(1, ids, weights.to(x.dtype))
        hidden = activate(layer, torch.matmul(x, w1))
        out.copy_(torch.einsum("etd,te->td", torch.bmm(hidden, layer.w2), full))

    return forward


def loop(layer: Any) -> Callable[..., object]:
    """A loop over experts; asks the device how many tokens each got, so it cannot be captured."""
    w1 = first_weights(layer)

    def forward(x: torch.Tensor, out: torch.Tensor) -> None:
        weights, ids = route(layer, x)
        out.zero_()
        for e in range(layer.config.n_experts):
            token, slot = torch.where(ids == e)
            y = activate(layer, x[token] @ w1[e]) @ layer.w2[e]
            out.index_add_(0, token, y * weights[token, slot, None].to(y.dtype))

    return forward


def peers(layer: Any, tokens: int) -> dict[str, Callable[..., object]]:
    """PyTorch's ways that fit; of a gated layer compiled ones, Triton and other projects' too. `--only` names some."""
    c = layer.config
    found = {"grouped_mm": grouped(layer)}
    if c.n_experts <= 8 and tokens * c.n_experts * c.d_ff * 2 < 4e9:
        found["dense"] = dense(layer)
    if c.gated:
        from reference import triton_fused  # noqa: PLC0415 - a table is printed where there is no Triton too

        torch.compiler.reset()
        found |= {f"{who}_compiled": torch.compile(forward, dynamic=False) for who, forward in found.items()}
        found["triton"] = triton_fused.prepare(layer)
        found |= {who: bring(layer) for who, bring in installed().items()}
    if c.n_experts <= 8:
        found["loop"] = loop(layer)
    only = [name for a in sys.argv if a.startswith("--only=") for name in a.removeprefix("--only=").split(",")]
    return {who: forward for who, forward in found.items() if not only or who in only}


def graph_of(forward: Callable[..., object], xs: list[torch.Tensor], out: torch.Tensor) -> torch.cuda.CUDAGraph:
    """One graph that calls `forward` once on each input."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for x in xs:
            forward(x, out)
    return graph


def events_us(run: Callable[[], object], before: Callable[[], object] | None, n: int) -> list[float]:
    """Microseconds between events around each of n runs, `before` outside the clock."""
    pairs = []
    for _ in range(n):
        if before is not None:
            before()
        pair = tuple(torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        pair[0].record()
        run()
        pair[1].record()
        pairs.append(pair)
    torch.cuda.synchronize()
    return [a.elapsed_time(b) * 1e3 for a, b in pairs]


def host_us(run: Callable[[], object], n: int) -> float:
    """Host microseconds a call, n calls back to back, to the end of the last."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / n * 1e6


def least_work(layer: Any, xs: list[torch.Tensor]) -> dict[str, float]:
    """FLOP of a call's matmuls, and the bytes it cannot do without: weights of chosen experts, tokens, outputs."""
    c, pairs = layer.config, len(xs[0]) * layer.config.top_k
    chosen = statistics.mean(len(torch.unique(route(layer, x)[1])) for x in xs)
    each = (3 if c.gated else 2) * c.d_model * c.d_ff
    item = layer.w1.element_size()
    moved = chosen * each + layer.router_weight.numel() + 2 * xs[0].numel()
    return {"flop": 2.0 * pairs * each, "bytes": moved * item}


def floor_us(shape: dict[str, Any], ceilings: dict[str, float]) -> float:
    """A call's matmuls at the rate of a large one, or its bytes at the faster of those two, if these take longer."""
    rate = max(ceilings["copy_tb_per_s"], ceilings.get("read_tb_per_s", 0))
    return float(max(shape["flop"] / ceilings["matmul_tflops"], shape["bytes"] / rate) / 1e6)


def time_shape(name: str, dtype: torch.dtype, *, mojo_only: bool, gated: bool) -> dict[str, Any]:
    """All contenders at one shape."""
    t, d, f, experts, k = SHAPES[name]
    activation = "silu" if gated else "relu"
    layer = make_layer(d=d, f=f, experts=experts, k=k, dtype=dtype, activation=activation, gated=gated)
    xs = [make_tokens(t, d, dtype, seed=10 + i) for i in range(8)]
    out = torch.empty_like(xs[0])
    work = t * k * 4 * d * f
    contenders: dict[str, Callable[..., object]] = {"mojo": prepare(layer)}
    if not mojo_only:
        contenders |= peers(layer, t)
    flush = torch.empty(120_000_000, dtype=torch.uint8, device="cuda")
    record: dict[str, Any] = {"shape": name, "t": t, "d": d, "f": f, "experts": experts, "k": k, "gated": gated}
    record |= {**least_work(layer, xs), "contenders": {}}
    graphs = {}
    for who, forward in list(contenders.items()):
        try:
            _, ids = route(layer, xs[0])
            result = forward(xs[0], out)
            ids = result[1] if isinstance(result, tuple) else ids
            expected = answer(layer, xs[0], ids)
            error = float((out.double() - expected).norm() / expected.norm())
            record["contenders"][who] = {"rms_error": error}
            if not error < LIMIT[dtype]:
                record["contenders"][who]["wrong"] = True
                del contenders[who]
                continue
            if who != "loop":
                forward(xs[1], out)
                torch.cuda.synchronize()
                graphs[who] = graph_of(forward, xs, out)
        except Exception as e:  # noqa: BLE001 - whatever it is goes into the record
            record["contenders"][who] = {"failed": str(e)[:300]}
            contenders.pop(who)
    estimate = max(work / (6e8 if dtype == torch.bfloat16 else 5e7), 20)
    n = int(min(60, max(8, 3e4 / estimate)))
    samples: dict[str, dict[str, list[float]]] = {
        w: {"graph": [], "graph_cold": [], "eager": [], "host": []} for w in contenders
    }
    single = {w: graph_of(contenders[w], xs[:1], out) for w in graphs}
    for _ in range(3):
        for who, forward in contenders.items():
            s = samples[who]
            count = n if who != "loop" else 6
            if who in graphs:
                s["graph"] += [v / len(xs) for v in events_us(graphs[who].replay, None, count)[2:]]
                s["graph_cold"] += events_us(single[who].replay, lambda: flush.fill_(1), count)[2:]
            calls = iter(range(10**9))
            s["eager"] += events_us(lambda: forward(xs[next(calls) % 8], out), None, count)[2:]
            s["host"].append(host_us(lambda: forward(xs[next(calls) % 8], out), count))
    for who, s in samples.items():
        record["contenders"][who] |= {
            key: {"median_us": statistics.median(v), "low_us": min(v), "high_us": max(v), "n": len(v)}
            for key, v in s.items()
            if v
        }
    return record


def ceilings() -> dict[str, float]:
    """Measured: bf16 matmul in TFLOP/s; device copy (read plus written) and bulk copies to shared memory in TB/s."""
    a, b = (torch.randn((8192, 8192), device="cuda").bfloat16() for _ in range(2))
    c = torch.empty_like(a)
    matmul = statistics.median(events_us(lambda: torch.mm(a, b, out=c), None, 25)[5:])
    big = torch.empty((2, 2**30), dtype=torch.uint8, device="cuda")
    copy = statistics.median(events_us(lambda: big[0].copy_(big[1]), None, 25)[5:])
    blocks = torch.cuda.get_device_properties("cuda").multi_processor_count
    stream = Floors().kernel("stream", blocks, 256, COOPERATIVE)
    boxes = ctypes.c_uint64(big.data_ptr()), ctypes.c_uint32(big.numel() // BOX)
    read = statistics.median(events_us(lambda: stream(*boxes), None, 25)[5:])
    return {
        "matmul_tflops": 2 * 8192**3 / matmul / 1e6,
        "copy_tb_per_s": 2 * 2**30 / copy / 1e6,
        "read_tb_per_s": 2 * 2**30 / read / 1e6,
    }


def table(record: dict[str, Any]) -> str:
    """A record's medians in microseconds, as a table in Markdown."""
    graph, cold, eager = "graph", "graph_cold", "eager"
    columns = [("mojo", graph), ("grouped_mm", graph), ("dense", graph), ("mojo", cold), ("mojo", eager)]
    columns.append(("grouped_mm", eager))
    lines = [
        "| shape | Mojo | grouped_mm | dense | Mojo cold | Mojo eager | grouped_mm eager |",
        "|---|---|---|---|---|---|---|",
    ]
    for shape in record["shapes"]:
        medians = [shape["contenders"].get(who, {}).get(how, {}).get("median_us") for who, how in columns]
        lines.append(" | ".join([f"| {shape['shape']}", *("-" if m is None else f"{m:.1f}" for m in medians)]) + " |")
    return "\n".join(lines)


def gated_table(record: dict[str, Any]) -> str:
    """Medians of calls in a graph as ReLU and as SwiGLU in microseconds, each beside its floor, and SwiGLU's peers."""
    every = ("grouped_mm", "grouped_mm_compiled", "dense", "dense_compiled", "triton", *BROUGHT)
    columns = [who for who in every if any(who in shape["contenders"] for shape in record["shapes"])]
    lines = [
        f"| shape | floor, ReLU | Mojo | share | floor, SwiGLU | Mojo | share | cold | {' | '.join(columns)} | least |",
        f"{'|---' * (len(columns) + 9)}|",
    ]
    plain = {s["shape"]: s for s in record["shapes"] if not s["gated"]}
    for shape in (s for s in record["shapes"] if s["gated"]):
        row = [shape["shape"]]
        for one in (plain[shape["shape"]], shape):
            floor, took = floor_us(one, record["ceilings"]), one["contenders"]["mojo"]["graph"]["median_us"]
            row += [f"{floor:.1f}", f"{took:.1f}", f"{floor / took:.0%}"]
        row.append(f"{shape['contenders']['mojo']['graph_cold']['median_us']:.1f}")
        medians = [shape["contenders"].get(who, {}).get("graph", {}).get("median_us") for who in columns]
        row += ["-" if m is None else f"{m:.1f}" for m in medians]
        row.append(f"{min((m for m in medians if m is not None), default=math.nan) / took:.2f}x")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def main() -> int:
    """Times the named shapes, or all."""
    if "--table" in sys.argv:
        kept = json.loads(Path(sys.argv[1]).read_text())
        print((gated_table if any(s.get("gated") for s in kept["shapes"]) else table)(kept))
        return 0
    mojo_only = "--mojo-only" in sys.argv
    dtype = torch.float32 if "--float32" in sys.argv else torch.bfloat16
    both = "--gated" in sys.argv
    every = GATED if both else list(SHAPES) if dtype == torch.bfloat16 else IN_FLOAT32
    names = [a for a in sys.argv[2:] if a in SHAPES] or every
    record: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "dtype": str(dtype)}
    record |= {"ceilings": ceilings(), "shapes": []}
    print(record, flush=True)
    for name, gated in ((name, gated) for name in names for gated in ((False, True) if both else (False,))):
        torch.cuda.empty_cache()
        r = time_shape(name, dtype, mojo_only=mojo_only or (both and not gated), gated=gated)
        record["shapes"].append(r)
        for who, c in r["contenders"].items():
            row = " ".join(f"{key} {v['median_us']:.1f}" for key, v in c.items() if isinstance(v, dict))
            what = f"{name:15} {'gated ' if gated else ''}{who:10}"
            print(f"{what} {row} {c.get('rms_error', 0):.1e} {c.get('failed', '')[:90]}", flush=True)
        Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
