# ruff: noqa: T201 - a script run by hand; its record is its report
"""What stands in the way of the targets, measured beside the kernel on one GPU: `python floors_on_gpu.py OUT.json`.

Launches that do nothing, barriers of the grid, the weights of one token only fetched, PyTorch's matmuls of the same
sizes alone, and what clocks and power do under each without a pause. Times as in time_on_gpu.py. `--table` measures
nothing and prints OUT.json as tables.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kernels_gpu.floors import BOX, COOPERATIVE, OVERLAPPING, Floors
from tests.kernels_gpu.reference_gpu import make_layer, make_tokens
from tests.kernels_gpu.time_on_gpu import SHAPES, ceilings, events_us, graph_of, route
from validation.implementations.mojo_gpu import prepare

CALLS = 8
LARGE = ("qwen3-t4096", "seed-serving", "mixtral-t4096")


def graph_us(calls: list[Callable[[], object]], n: int = 40) -> float:
    """Median microseconds a call in a graph of them all."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    return statistics.median(events_us(graph.replay, None, n)[2:]) / len(calls)


def cold_us(call: Callable[[], object], flush: torch.Tensor, n: int = 40) -> float:
    """Median microseconds of a graph of one call, 120 MB written before each."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return statistics.median(events_us(graph.replay, lambda: flush.fill_(1), n)[2:])


def sustained(call: Callable[[], object], seconds: float = 1.5) -> dict[str, float]:
    """Microseconds a call, mean clock and mean power of `seconds` without a pause."""
    call()
    torch.cuda.synchronize()
    query = ["nvidia-smi", "--query-gpu=clocks.sm,power.draw.instant", "--format=csv,noheader,nounits", "-lms", "100"]
    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as meter:
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            call()
            n += 1
            torch.cuda.synchronize()
        took = time.perf_counter() - start
        meter.terminate()
        rows = [[float(v) for v in line.split(",")] for line in (meter.stdout or ()) if line.count(",") == 1]
    clock, power = (statistics.mean(column) for column in zip(*rows[3:], strict=True))
    return {"us": took / n * 1e6, "clock_mhz": round(clock), "power_w": round(power)}


def launches(floors: Floors, flush: torch.Tensor) -> dict[str, Any]:
    """What launches cost that do nothing but meet."""
    word = torch.zeros(1, dtype=torch.int32, device="cuda")
    hows: dict[str, tuple[int, ...]] = {
        "plain": (),
        "cooperative": (COOPERATIVE,),
        "overlapping": (OVERLAPPING,),
        "both": (COOPERATIVE, OVERLAPPING),
    }
    out: dict[str, Any] = {}
    for who, how in hows.items():
        empty = floors.kernel("empty", 128, 288, *how)
        out[f"empty, {who}"] = {
            "us": graph_us([empty] * CALLS), "of 64 us": graph_us([empty] * 64), "cold_us": cold_us(empty, flush),
        }  # fmt: skip
    empty = floors.kernel("empty", 128, 288, COOPERATIVE, shared=0)
    out["empty, cooperative, 0 KiB"] = {"us": graph_us([empty] * CALLS)}
    meet = floors.kernel("meet", 132, 384, COOPERATIVE)
    for rounds in (0, 1, 5):
        out[f"{rounds} barriers, cooperative"] = {
            "us": graph_us([lambda n=rounds: meet(ctypes.c_uint64(word.data_ptr()), ctypes.c_uint32(n))] * CALLS)  # type: ignore[misc]
        }
    return out


def one_token(floors: Floors, flush: torch.Tensor) -> dict[str, Any]:
    """Qwen3 T1: the layer, and its weights only fetched, in the same pieces by as many blocks."""
    t, d, f, experts, k = SHAPES["qwen3-t1"]
    layer = make_layer(d=d, f=f, experts=experts, k=k, dtype=torch.bfloat16)
    forward = prepare(layer)
    xs = [make_tokens(t, d, torch.bfloat16, seed=10 + i) for i in range(CALLS)]
    out = torch.empty_like(xs[0])
    stream = floors.kernel("stream", 132, 256, COOPERATIVE)
    boxes = k * 2 * d * f * 2 // BOX
    weights = torch.zeros((CALLS, boxes * BOX), dtype=torch.uint8, device="cuda").random_()

    def fetch(i: int) -> None:
        stream(ctypes.c_uint64(weights[i].data_ptr()), ctypes.c_uint32(boxes))

    calls: list[Callable[[], object]] = [lambda x=x: forward(x, out) for x in xs]  # type: ignore[misc]
    return {
        "mojo": {"us": graph_us(calls), "cold_us": cold_us(calls[0], flush)},
        "bytes": boxes * BOX,
        "weights fetched": {
            "us": graph_us([lambda i=i: fetch(i) for i in range(CALLS)]),  # type: ignore[misc]
            "cold_us": cold_us(lambda: fetch(0), flush),
        },
    }


def many_tokens(name: str) -> dict[str, Any]:
    """A large shape: the layer and the products alone, by turns in short runs and then each without a pause."""
    t, d, f, experts, k = SHAPES[name]
    layer = make_layer(d=d, f=f, experts=experts, k=k, dtype=torch.bfloat16)
    forward = prepare(layer)
    xs = [make_tokens(t, d, torch.bfloat16, seed=10 + i) for i in range(4)]
    out = torch.empty_like(xs[0])
    w1, w2 = (w.transpose(1, 2).contiguous().transpose(1, 2) for w in (layer.w1, layer.w2))
    sorted_rows = []
    for x in xs:
        flat, order = route(layer, x)[1].flatten().sort(stable=True)
        ends = torch.searchsorted(flat, torch.arange(experts, device="cuda"), right=True).to(torch.int32)
        sorted_rows.append((x[order // k], ends))

    def pair(x: torch.Tensor, _out: torch.Tensor) -> None:
        rows, ends = sorted_rows[next(i for i, one in enumerate(xs) if one is x)]
        hidden = torch.nn.functional.grouped_mm(rows, w1, offs=ends)
        torch.nn.functional.grouped_mm(hidden, w2, offs=ends)

    def dense(x: torch.Tensor, _out: torch.Tensor) -> None:
        rows, _ends = sorted_rows[next(i for i, one in enumerate(xs) if one is x)]
        torch.mm(torch.mm(rows, w1[0]), w2[0])

    hows: dict[str, Callable[..., object]] = {"mojo": forward, "two grouped_mm": pair, "two mm of one expert": dense}
    record: dict[str, Any] = {}
    graphs = {}
    for who, how in hows.items():
        how(xs[0], out)
        torch.cuda.synchronize()
        graphs[who] = graph_of(how, xs, out)
    samples: dict[str, list[float]] = {who: [] for who in hows}
    for turn in range(6):
        for who in list(hows)[:: 1 if turn % 2 == 0 else -1]:
            samples[who] += [us / len(xs) for us in events_us(graphs[who].replay, None, 12)[2:]]
            time.sleep(0.1)
    for who in hows:
        long = sustained(graphs[who].replay)
        long["us"] /= len(xs)
        record[who] = {
            "us": statistics.median(samples[who]),
            "tflops": t * k * 4 * d * f / statistics.median(samples[who]) / 1e6,
            "sustained": long | {"tflops": t * k * 4 * d * f / long["us"] / 1e6},
        }
    return record


def tables(record: dict[str, Any]) -> str:
    """A record as tables in Markdown."""
    lines = ["| us | in a graph of 8 | of 64 | cold |", "|---|---|---|---|"]
    token = {f"qwen3-t1, {who}": one for who, one in record["qwen3-t1"].items() if who != "bytes"}
    for who, one in (record["launches"] | token).items():
        cells = (f"{one[key]:.1f}" if key in one else "-" for key in ("us", "of 64 us", "cold_us"))
        lines.append(" | ".join([f"| {who}", *cells]) + " |")
    lines += ["", "| | us | TFLOP/s | without a pause, us | TFLOP/s | MHz | W |", "|---|---|---|---|---|---|---|"]
    for name in LARGE:
        for who, one in record[name].items():
            long = one["sustained"]
            figures = (one["us"], one["tflops"], long["us"], long["tflops"], long["clock_mhz"], long["power_w"])
            lines.append(" | ".join([f"| {name}, {who}", *(f"{v:.0f}" for v in figures)]) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measures all and writes the record after each step."""
    if "--table" in sys.argv:
        print(tables(json.loads(Path(sys.argv[1]).read_text())))
        return 0
    floors = Floors()
    flush = torch.empty(120_000_000, dtype=torch.uint8, device="cuda")
    record: dict[str, Any] = {
        "device": torch.cuda.get_device_name(), "torch": torch.__version__, "ceilings": ceilings(),
    }  # fmt: skip
    a, b = (torch.randn((8192, 8192), device="cuda").bfloat16() for _ in range(2))
    c = torch.empty_like(a)
    steps: dict[str, Callable[[], Any]] = {
        "launches": lambda: launches(floors, flush),
        "qwen3-t1": lambda: one_token(floors, flush),
        "mm 8192": lambda: sustained(lambda: [torch.mm(a, b, out=c) for _ in range(10)]),
        **{n: lambda n=n: many_tokens(n) for n in LARGE},  # type: ignore[misc]
    }
    for name, step in steps.items():
        record[name] = step()
        print(name, json.dumps(record[name]), flush=True)
        Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")
        torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
