# ruff: noqa: PLR2004, PLR0913 - thresholds between regimes stand where they are used
"""The Mojo kernel on an NVIDIA Hopper GPU, as a kernel author would hand it in: one file with a `prepare`.

`MOE_KERNEL_BUNDLE` names the folder that holds the compiled extension (see gpu_bundle.py). Imports nothing of ours.
"""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

DTYPES = {torch.bfloat16: 0, torch.float16: 1, torch.float32: 2}
MOST_EXPERTS = 256
GROUP = 128  # weight rows of a consumer warpgroup
WINDOW = 1024  # ids sorted at a time, a bound on top_k


@dataclass(frozen=True, slots=True, kw_only=True)
class TileShape:
    """A compiled variant: its number in the extension, weight rows and most tokens of a tile."""

    number: int
    rows: int
    tokens: int


WIDE = TileShape(number=0, rows=256, tokens=160)
MEDIUM = TileShape(number=1, rows=128, tokens=160)
NARROW = TileShape(number=2, rows=128, tokens=32)

RELU, SIGMOID_FORM, GELU_ERF = 0, 1, 2
TANH_SLOPE = 2 * math.sqrt(2 / math.pi)
ACTIVATIONS: dict[str, tuple[int, tuple[float, float]]] = {
    "relu": (RELU, (0.0, 0.0)),
    "silu": (SIGMOID_FORM, (1.0, 0.0)),
    "gelu_tanh": (SIGMOID_FORM, (TANH_SLOPE, TANH_SLOPE * 0.044715)),
    "gelu": (GELU_ERF, (0.0, 0.0)),
}
ROUTE_IN_PLACE, ROUTE_BY_DOTS, ROUTE_BY_TILES = 0, 1, 2


@cache
def extension() -> ModuleType:
    """The compiled extension of the bundle."""
    folder = os.environ.get("MOE_KERNEL_BUNDLE")
    if not folder:
        raise RuntimeError("MOE_KERNEL_BUNDLE must name the folder of a GPU bundle; it is not set")
    path = Path(folder) / "moe_gpu.so"
    spec = importlib.util.spec_from_file_location("moe_gpu", path)
    if spec is None or spec.loader is None or not path.exists():
        raise RuntimeError(f"MOE_KERNEL_BUNDLE must hold moe_gpu.so; {path} does not exist")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def open_device(index: int) -> tuple[int, int]:
    """The extension's handle of a GPU and its number of multiprocessors."""
    major, minor = torch.cuda.get_device_capability(index)
    if (major, minor) != (9, 0):
        raise RuntimeError(f"the Mojo GPU kernel needs compute capability 9.0 (sm_90a); this GPU has {major}.{minor}")
    handle, count = extension().open_device(index)
    return int(handle), int(count)


@cache
def compiled(device: int, dtype: int, gated: int, shape: int) -> int:
    """A compiled variant; the driver takes about 10 s the first time on a machine."""
    return int(extension().compile_variant(device, dtype, gated, shape))


def round_up(n: int, multiple: int) -> int:
    """The least multiple that is >= n."""
    return -(-n // multiple) * multiple


def row_order(*, gated: bool) -> torch.Tensor:
    """Which feature each of a group's 128 weight rows holds, so that a thread's four rows are neighbouring features.

    A thread of warp w holds rows 16 w + i plus (0, 8, 64, 72). Gated: rows plus 8 hold the gate of the feature, the
    group's features 0..63 first and their gates at 64..127.
    """
    row = torch.arange(GROUP)
    block, warp, half, i = row // 64, row // 16 % 4, row // 8 % 2, row % 8
    if gated:
        return half * 64 + warp * 16 + i * 2 + block
    return warp * 32 + i * 4 + block * 2 + half


def padded(m: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """`m` [..., r, c] as contiguous [..., rows, columns], zero where there was nothing."""
    return torch.nn.functional.pad(m, (0, columns - m.shape[-1], 0, rows - m.shape[-2])).contiguous()


def halves(m: torch.Tensor) -> torch.Tensor:
    """A float32 matrix as [high | low] along its last axis, `high` exact in TF32; other dtypes as they are."""
    if m.dtype != torch.float32:
        return m.contiguous()
    high = (m.view(torch.int32) & -8192).view(torch.float32)
    return torch.cat([high, m - high], dim=-1)


def pack(weight: torch.Tensor, rows: int, columns: int, gate: torch.Tensor | None = None) -> torch.Tensor:
    """Weights [E, in, out] as the matmuls read them: [E, out rows in `row_order`, in columns], K innermost."""
    out = None
    order = row_order(gated=gate is not None).to(weight.device)
    for e in range(weight.shape[0]):
        m = padded(weight[e].T, rows, columns)
        if gate is None:
            m = m.view(rows // GROUP, GROUP, columns)[:, order]
        else:
            g = padded(gate[e].T, rows, columns)
            both = torch.cat([m.view(-1, GROUP // 2, columns), g.view(-1, GROUP // 2, columns)], dim=1)
            m = both[:, order]
        m = halves(m.reshape(-1, columns))
        if out is None:
            out = torch.empty((weight.shape[0], *m.shape), dtype=m.dtype, device=m.device)
        out[e] = m
    assert out is not None
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A layer as the kernel has it."""

    d: int
    f: int
    experts: int
    top_k: int
    dtype: torch.dtype
    device: torch.device
    gated: bool
    renormalize: bool
    activation: int
    scale: tuple[float, float]
    k0: int
    k1: int
    rows1: int
    d_stride: int
    hidden_stride: int
    logits_stride: int
    router: torch.Tensor
    router_tiles: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    router_bias: torch.Tensor | None
    b1: torch.Tensor | None
    b2: torch.Tensor | None
    sync: torch.Tensor

    @property
    def halves(self) -> int:
        """Matrix columns per value: float32 is kept as two halves."""
        return 2 if self.dtype == torch.float32 else 1


def bias(b: torch.Tensor | None, width: int) -> torch.Tensor | None:
    """A bias [E, n] in float32, padded to [E, width]."""
    return None if b is None else torch.nn.functional.pad(b.float(), (0, width - b.shape[-1])).contiguous()


def require(condition: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises ValueError unless the condition holds."""
    if not condition:
        raise ValueError(what)


def pack_layer(layer: Any) -> Packed:  # noqa: ANN401 - a Layer, which this file may not import
    """Checks a layer and repacks its weights."""
    c = layer.config
    w1, w2, router = layer.w1, layer.w2, layer.router_weight
    dtype, device = w1.dtype, w1.device
    require(dtype in DTYPES, f"weights must be bfloat16, float16 or float32; they are {dtype}")
    require(device.type == "cuda", f"weights must be on a CUDA device; they are on {device}")
    require(c.n_experts <= MOST_EXPERTS, f"n_experts must be at most {MOST_EXPERTS}; it is {c.n_experts}")
    require(1 <= c.top_k <= c.n_experts, f"top_k must be from 1 to n_experts ({c.n_experts}); it is {c.top_k}")
    require(c.activation in ACTIVATIONS, f"activation must be one of {', '.join(ACTIVATIONS)}; it is {c.activation}")
    shapes = {
        "router_weight": (c.d_model, c.n_experts),
        "w1": (c.n_experts, c.d_model, c.d_ff),
        "w2": (c.n_experts, c.d_ff, c.d_model),
        "w_gate": (c.n_experts, c.d_model, c.d_ff),
        "router_bias": (c.n_experts,),
        "b1": (c.n_experts, c.d_ff),
        "b2": (c.n_experts, c.d_model),
    }
    for name, shape in shapes.items():
        tensor = getattr(layer, name)
        if tensor is not None:
            require(tuple(tensor.shape) == shape, f"{name} must have shape {shape}; it has {tuple(tensor.shape)}")
            require(tensor.dtype == dtype, f"{name} must be {dtype} like w1; it is {tensor.dtype}")
            require(tensor.device == device, f"{name} must be on {device} like w1; it is on {tensor.device}")
    gated = layer.w_gate is not None
    f_padded = round_up(c.d_ff, GROUP // 2 if gated else GROUP)
    k0 = round_up(c.d_model, 64)
    k1 = f_padded if dtype == torch.float32 else round_up(c.d_ff, 64)
    d_stride = round_up(c.d_model, GROUP)
    logits_stride = round_up(c.n_experts, GROUP)
    kind, scale = ACTIVATIONS[c.activation]
    return Packed(
        d=c.d_model,
        f=c.d_ff,
        experts=c.n_experts,
        top_k=c.top_k,
        dtype=dtype,
        device=device,
        gated=gated,
        renormalize=c.renormalize,
        activation=kind,
        scale=scale,
        k0=k0,
        k1=k1,
        rows1=f_padded * (2 if gated else 1),
        d_stride=d_stride,
        hidden_stride=f_padded * (2 if dtype == torch.float32 else 1),
        logits_stride=logits_stride,
        router=padded(router.T, c.n_experts, k0),
        router_tiles=pack(router[None], logits_stride, k0),
        first=pack(w1, f_padded, k0, layer.w_gate),
        second=pack(w2, d_stride, k1),
        router_bias=None if layer.router_bias is None else layer.router_bias.float().contiguous(),
        b1=bias(layer.b1, f_padded),
        b2=bias(layer.b2, d_stride),
        sync=torch.zeros(32, dtype=torch.int32, device=device),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """The variant and tile sizes for a number of tokens, and the cycles they are thought to take."""

    shape: TileShape
    tokens1: int
    tokens2: int
    splits: int
    cycles: float


def matmul_cycles(
    shape: TileShape, most: int, *, experts: float, rows: float, out: int, k: int, splits: int, blocks: int
) -> float:
    """What one matmul is thought to take: full rounds of tiles, each bound by tensor cores or by its loads.

    4096 FLOP and about 40 bytes from L2 a cycle and multiprocessor; 1500 cycles to begin and store a tile. Only the
    order of the answers matters: tilings are compared, never reported.
    """
    tiles = math.ceil(rows / most)
    tokens = round_up(math.ceil(rows / tiles), 16)
    count = experts * tiles * math.ceil(out / shape.rows) * splits
    stage = max(shape.rows * tokens * 128 / 4096, (shape.rows + tokens) * 128 / 40)
    return math.ceil(count / blocks) * (k / 64 / splits * stage + 1500)


def choose_tiling(layer: Packed, tokens: int, blocks: int) -> Tiling:
    """The cheapest variant and tiles for `tokens` tokens that spread evenly over the experts."""
    pairs = tokens * layer.top_k
    experts = layer.experts * (1 - (1 - layer.top_k / layer.experts) ** tokens)
    # Two standard deviations above the mean: an expert a little over a tile's size costs a whole tile more.
    mean = pairs / experts
    rows = min(tokens, mean + (2 * math.sqrt(mean) if layer.experts > layer.top_k else 0))
    wide = layer.halves * 1.5 if layer.halves == 2 else 1.0
    best: Tiling | None = None
    for shape in (NARROW, MEDIUM, WIDE):
        # A few rows per expert: the stream of weights is the bound, and NARROW keeps 160 KiB of it in flight.
        if (shape is NARROW) != (rows <= NARROW.tokens):
            continue
        caps = [c for c in (16, 32, 48, 64, 96, 128, 160) if c <= shape.tokens]
        caps = caps[-1:] if shape is NARROW else caps
        first = min(
            (
                matmul_cycles(
                    shape,
                    c,
                    experts=experts,
                    rows=rows,
                    out=layer.rows1,
                    k=int(layer.k0 * wide),
                    splits=1,
                    blocks=blocks,
                ),
                -c,
            )
            for c in caps
        )
        second = min(
            (
                matmul_cycles(
                    shape,
                    c,
                    experts=experts,
                    rows=rows,
                    out=layer.d_stride,
                    k=int(layer.k1 * wide),
                    splits=s,
                    blocks=blocks,
                )
                + (s - 1) * 600,
                -c,
                s,
            )
            for c in caps
            for s in ((1, 2, 4, 8) if shape is NARROW and layer.k1 >= 512 else (1,))
        )
        cycles = first[0] + second[0]
        if best is None or cycles < best.cycles:
            best = Tiling(shape=shape, tokens1=-first[1], tokens2=-second[1], splits=second[2], cycles=cycles)
    assert best is not None
    return best


@dataclass(slots=True)
class Plan:
    """What stays the same between calls with the same number of tokens."""

    sizes: tuple[int, ...]
    handles: tuple[int, ...]
    scratch: tuple[int, ...]
    memory: torch.Tensor


@dataclass(slots=True)
class Prepared:
    """A layer ready to run; holds its workspaces, which outlive any graph that was captured with them."""

    layer: Packed
    device: int
    blocks: int
    maps: int
    plans: dict[int, Plan] = field(default_factory=dict)

    def plan(self, tokens: int, *, staged: bool) -> Plan:
        """The plan for a number of tokens; compiles and allocates the first time."""
        c, p = self.layer, tokens * self.layer.top_k
        require(p < 2**31, f"tokens * top_k must be below 2^31; it is {p}")
        tiling = choose_tiling(c, tokens, self.blocks)
        narrow = tiling.shape is NARROW
        item = c.dtype.itemsize
        route = ROUTE_IN_PLACE if c.experts <= 16 else (ROUTE_BY_DOTS if tokens <= 128 else ROUTE_BY_TILES)
        sizes = {
            "finished": 4 * (p // tiling.tokens1 + c.experts + 1),
            "logits": 4 * tokens * c.logits_stride if route != ROUTE_IN_PLACE else 0,
            "histogram": 4 * self.blocks * c.experts,
            "tokens": 4 * p,
            "position": 4 * p,
            "hidden": p * c.hidden_stride * item,
            "expert_out": tiling.splits * p * c.d_stride * (4 if narrow else item),
            "staged": tokens * c.k0 * c.halves * item if staged else 0,
        }
        offsets, total = {}, 0
        for name, size in sizes.items():
            offsets[name], total = total, total + round_up(size, 256)
        memory = torch.empty(total, dtype=torch.uint8, device=c.device)
        base = memory.data_ptr()
        scratch = tuple(base + offsets[name] for name in sizes)
        ints = (
            tokens, c.d, c.experts, c.top_k, c.k0 * c.halves if staged else c.d, c.k0, c.logits_stride, c.hidden_stride,
            c.d_stride, c.k0, c.k1, c.rows1, tiling.tokens1, tiling.tokens2, tiling.splits, route, c.activation,
            int(c.renormalize), int(staged),
        )  # fmt: skip
        dtype, gated, shape = DTYPES[c.dtype], int(c.gated), tiling.shape.number
        handles = (dtype, gated, shape, compiled(self.device, dtype, gated, shape), self.maps)
        return Plan(sizes=ints, handles=handles, scratch=scratch, memory=memory)

    def forward(self, x: torch.Tensor, out: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Fills `out` on the current stream; returns the chosen experts and their weights beside it."""
        c = self.layer
        for name, tensor in (("x", x), ("out", out)):
            require(tensor.dtype == c.dtype, f"{name} must be {c.dtype} like the weights; it is {tensor.dtype}")
            require(tensor.device == c.device, f"{name} must be on {c.device}; it is on {tensor.device}")
            require(
                tensor.dim() == 2 and tensor.shape[1] == c.d,
                f"{name} must have shape [T, {c.d}]; it has {tuple(tensor.shape)}",
            )
            require(tensor.is_contiguous(), f"{name} must be contiguous; its strides are {tensor.stride()}")
        tokens = x.shape[0]
        require(out.shape[0] == tokens, f"out must have {tokens} rows like x; it has {out.shape[0]}")
        ids = torch.empty((tokens, c.top_k), dtype=torch.int32, device=c.device)
        gates = torch.empty((tokens, c.top_k), dtype=torch.float32, device=c.device)
        if tokens == 0:
            return None, ids, gates
        start, end = x.data_ptr(), out.data_ptr()
        size = x.numel() * x.element_size()
        require(end >= start + size or start >= end + size, "out must not overlap x; it does")
        staged = c.halves > 1 or c.d % 64 != 0 or start % 16 != 0
        key = 2 * tokens + staged
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plans[key] = self.plan(tokens, staged=staged)
        finished, logits, histogram, order, position, hidden, expert_out, copy = plan.scratch
        addresses = (
            start, copy if staged else start, end, ids.data_ptr(), gates.data_ptr(), c.router.data_ptr(),
            address(c.router_bias), address(c.b1), address(c.b2), c.sync.data_ptr(), finished, logits, histogram, order,
            position, hidden, expert_out,
        )  # fmt: skip
        stream = torch.cuda.current_stream(c.device).cuda_stream
        extension().forward(self.device, (*plan.handles, stream), addresses, plan.sizes, c.scale)
        return None, ids, gates


def address(tensor: torch.Tensor | None) -> int:
    """Where a tensor's data is; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def prepare(layer: Any) -> Callable[[torch.Tensor, torch.Tensor], tuple[None, torch.Tensor, torch.Tensor]]:  # noqa: ANN401
    """Repacks the weights for the kernel; `forward(x, out)` is then one launch on the current stream."""
    require(torch.cuda.is_available(), "the Mojo GPU kernel needs a CUDA GPU; PyTorch sees none")
    torch.cuda.init()  # type: ignore[no-untyped-call]
    packed = pack_layer(layer)
    device, blocks = open_device(packed.device.index or 0)
    matrices: list[int] = []
    for m in (packed.router_tiles, packed.first, packed.second):
        matrices += [m.data_ptr(), m.shape[0] * m.shape[1], m.shape[2]]
    maps = extension().make_maps(device, DTYPES[packed.dtype], tuple(matrices))
    torch.cuda.synchronize(packed.device)  # the packed weights are there for whatever stream comes
    return Prepared(layer=packed, device=device, blocks=blocks, maps=int(maps)).forward
