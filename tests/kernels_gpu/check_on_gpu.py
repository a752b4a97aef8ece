# ruff: noqa: T201, E501 - a script run by hand: its output is its report
"""Correctness of the Mojo GPU kernel on a machine with a Hopper GPU: `python check_on_gpu.py OUT.json [quick] [few]`.

`race` takes the least layers of many tokens that go every way through the kernel: racecheck is 1000 times slower. `small` takes
layers for the kernel for small layers, in pairs of blocks and in single ones.

No test of the suite: CI has no GPU. Every case fills a poisoned output inside guard bands, is compared with float64,
run twice for bit identity, and replayed from a CUDA graph.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kernels_gpu.reference_gpu import answer, make_layer, make_tokens, routing_faults
from validation.implementations.mojo_gpu import prepare

BF, HALF, FLOAT = torch.bfloat16, torch.float16, torch.float32
# Largest rms error over rms of the answer: the rounding of inputs to a product, hidden activations and outputs.
LIMIT = {BF: 6e-3, HALF: 1e-3, FLOAT: 4e-6}

CASES: list[dict[str, Any]] = [
    {"t": 1024, "d": 256, "f": 1024, "experts": 4, "k": 2},
    {"t": 1, "d": 256, "f": 1024, "experts": 4, "k": 2},
    {"t": 7, "d": 256, "f": 1024, "experts": 4, "k": 2},
    {"t": 1000, "d": 256, "f": 1024, "experts": 4, "k": 2, "to_one": True},
    {"t": 333, "d": 512, "f": 704, "experts": 8, "k": 3},
    {"t": 300, "d": 255, "f": 257, "experts": 5, "k": 2},
    {"t": 33, "d": 511, "f": 130, "experts": 16, "k": 16},
    {"t": 64, "d": 512, "f": 256, "experts": 64, "k": 8},
    {"t": 500, "d": 512, "f": 256, "experts": 128, "k": 8},
    {"t": 3000, "d": 256, "f": 256, "experts": 256, "k": 8},
    {"t": 16, "d": 512, "f": 512, "experts": 256, "k": 1},
    {"t": 2000, "d": 512, "f": 512, "experts": 32, "k": 4, "to_one": True},
    {"t": 4096, "d": 1024, "f": 512, "experts": 8, "k": 2},
    {"t": 9000, "d": 256, "f": 512, "experts": 8, "k": 2},
    {"t": 500, "d": 256, "f": 512, "experts": 8, "k": 2, "biases": True},
    {"t": 20, "d": 256, "f": 512, "experts": 40, "k": 4, "biases": True, "renormalize": False},
    {"t": 700, "d": 256, "f": 512, "experts": 8, "k": 2, "gated": True, "activation": "silu", "biases": True},
    {"t": 20, "d": 256, "f": 512, "experts": 8, "k": 2, "gated": True, "activation": "silu"},
    {"t": 5000, "d": 512, "f": 704, "experts": 8, "k": 2, "gated": True, "activation": "gelu"},
    {"t": 200, "d": 256, "f": 512, "experts": 8, "k": 2, "activation": "gelu"},
    {"t": 200, "d": 256, "f": 512, "experts": 8, "k": 2, "activation": "gelu_tanh"},
    {"t": 200, "d": 256, "f": 512, "experts": 8, "k": 2, "activation": "silu"},
    {"t": 300, "d": 128, "f": 300, "experts": 5, "k": 3, "biases": True, "renormalize": False},
    {"t": 90, "d": 192, "f": 384, "experts": 3, "k": 1, "biases": True},
    {"t": 129, "d": 64, "f": 200, "experts": 8, "k": 4, "gated": True, "activation": "silu"},
    {"t": 257, "d": 256, "f": 192, "experts": 2, "k": 2, "gated": True, "activation": "gelu", "biases": True},
    {"t": 3, "d": 1024, "f": 256, "experts": 128, "k": 8, "biases": True},
    {"t": 4, "d": 2048, "f": 512, "experts": 200, "k": 17},
    {"t": 200, "d": 512, "f": 256, "experts": 128, "k": 8},
    {"t": 1150, "d": 512, "f": 512, "experts": 4, "k": 1},
    {"t": 1, "d": 2048, "f": 768, "experts": 128, "k": 8},
    {
        "t": 2,
        "d": 320,
        "f": 200,
        "experts": 24,
        "k": 16,
        "gated": True,
        "activation": "silu",
        "biases": True,
        "renormalize": False,
    },
    {"t": 4, "d": 255, "f": 257, "experts": 256, "k": 8},
    {"t": 1, "d": 512, "f": 384, "experts": 40, "k": 32},
    {"t": 60, "d": 448, "f": 384, "experts": 100, "k": 8, "gated": True, "activation": "gelu", "biases": True},
]
# Rows sorted and rows gathered, in wide and in medium tiles, one and several choices of a token in a stage of the sum.
RACE: list[dict[str, Any]] = [
    {"t": 600, "d": 320, "f": 256, "experts": 32, "k": 8},
    {"t": 3000, "d": 320, "f": 256, "experts": 8, "k": 2},
    {"t": 1200, "d": 320, "f": 256, "experts": 4, "k": 2},
    {"t": 300, "d": 320, "f": 128, "experts": 8, "k": 3},
    {"t": 260, "d": 320, "f": 128, "experts": 16, "k": 8, "gated": True, "activation": "silu"},
]
# The published sizes (pairs of blocks at d of 256, single ones at 128), then an odd number of slices, which makes no pairs.
SMALL: list[dict[str, Any]] = [
    CASES[0],
    {"t": 512, "d": 128, "f": 512, "experts": 4, "k": 2},
    {"t": 100, "d": 256, "f": 700, "experts": 4, "k": 2},
    {"t": 60, "d": 256, "f": 700, "experts": 4, "k": 2, "activation": "silu"},
    *(CASES[i] for i in (23, 24, 25, 22, 2, 16)),
]
OTHER = [CASES[i] for i in (0, 2, 3, 5, 8, 12, 14, 22, 26, 31, 32, 34)]


def run_case(case: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """One case: what came out, and whether that is right."""
    c = dict(case)
    t, to_one = c.pop("t"), c.pop("to_one", False)
    layer = make_layer(dtype=dtype, **c)
    x = make_tokens(t, c["d"], dtype)
    if to_one:
        x = x.abs()
        layer.router_weight[:, 1] = layer.router_weight[:, 1].abs() + 1
    forward = prepare(layer)
    buffer = torch.full((t * c["d"] + 1024,), float("nan"), dtype=dtype, device="cuda")
    out = buffer[512 : 512 + t * c["d"]].view(t, c["d"])
    _, ids, gates = forward(x, out)
    torch.cuda.synchronize()
    first, first_gates = out.clone(), gates.clone()
    faults = routing_faults(layer, x, ids, 1e-4)
    expected = answer(layer, x, ids)
    error = float((first.double() - expected).norm() / expected.norm())
    worst = float((first.double() - expected).abs().max() / expected.abs().max())
    out.fill_(float("nan"))
    again = forward(x, out)
    same = torch.equal(out, first) and torch.equal(again[1], ids) and torch.equal(again[2], first_gates)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        forward(x, out)
    other = make_tokens(t, c["d"], dtype, seed=2)
    x.copy_(other)
    for _ in range(3):
        graph.replay()
    replayed = out.clone()
    out.fill_(float("nan"))
    forward(x, out)
    torch.cuda.synchronize()
    in_graph = torch.equal(out, replayed)
    guards = bool(buffer[:512].isnan().all() and buffer[512 + t * c["d"] :].isnan().all())
    ok = error < LIMIT[dtype] and worst < 20 * LIMIT[dtype] and not faults and same and in_graph and guards
    return {
        "case": case, "dtype": str(dtype), "rms_error": error, "worst": worst, "routing_faults": faults, "same_bits": same,
        "graph_same_bits": in_graph, "guards_intact": guards, "ok": ok,
    }  # fmt: skip


def main() -> int:
    """Runs all cases, writes the record, and tells how many failed."""
    quick = "quick" in sys.argv
    cases = [(c, BF) for c in CASES] + ([] if quick else [(c, t) for t in (HALF, FLOAT) for c in OTHER])
    cases = cases[:7] if "few" in sys.argv else cases
    cases = [(c, BF) for c in RACE] if "race" in sys.argv else cases
    cases = [(c, BF) for c in SMALL] if "small" in sys.argv else cases
    results: list[dict[str, Any]] = []
    started = time.time()
    for case, dtype in cases:
        try:
            results.append(run_case(case, dtype))
        except Exception as error:  # noqa: BLE001 - whatever it is goes into the record
            results.append({"case": case, "dtype": str(dtype), "error": str(error)[:500], "ok": False})
        r = results[-1]
        print(
            f"{time.time() - started:6.1f} s",
            "ok  " if r["ok"] else "FAIL",
            {k: v for k, v in r.items() if k != "ok"},
            flush=True,
        )
        Path(sys.argv[1]).write_text(json.dumps(results, indent=1) + "\n")
    failed = sum(not r["ok"] for r in results)
    print(f"{len(results) - failed} of {len(results)} right")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
