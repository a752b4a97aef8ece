"""A layer ready to run: workspaces per number of tokens, and one launch a call on the current stream."""

# ruff: noqa: PLR2004 - thresholds between regimes stand where they are used
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from .extension import compiled, extension, open_device
from .packing import BOX_BYTES, DTYPES, RELU, Packed, pack_layer, require, require_memory, round_up
from .tiling import FEW, FEW_LOGITS, NARROW, SMALL, SMALL_OTHERS, choose_tiling, small_parts_bytes, small_tiling

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTE_BY_DOTS, ROUTE_BY_TILES = 0, 1
MOST_PAIRS = 2**31
#: Rows per expert up to which weights come slower from memory (2.7 TB/s) than the tensor cores (790 TFLOP/s) multiply
#: them: there, rows are gathered, since a copy sorted by expert would have to pass through the same memory. With
#: more of them the copy pays: gathering holds the tensor cores up by a fifth.
GATHERED_ROWS = 290


@dataclass(slots=True)
class Plan:
    """What stays the same between calls with the same number of tokens."""

    number: int
    """The extension's, which has the addresses of all that is not the caller's."""
    staged: int
    """Where activations are copied to; 0: they are read where they are."""
    memory: torch.Tensor


@dataclass(slots=True)
class Prepared:
    """A layer ready to run; holds its workspaces, which outlive any graph that was captured with them."""

    layer: Packed
    device: int
    blocks: int
    maps: int
    parts: torch.Tensor
    """Two sets of parts for the kernel for small layers: state between its calls, so no call's scratch memory."""
    enqueue: Callable[[int, int, tuple[int, ...]], None]
    dtype: int
    plans: dict[int, Plan] = field(default_factory=dict)

    def plan(self, tokens: int, start: int, *, staged: bool) -> Plan:
        """The plan for a number of tokens, the first of which lies at `start`; compiles and allocates."""
        c, p = self.layer, tokens * self.layer.top_k
        tiling = (None if staged else small_tiling(c, tokens, self.blocks)) or choose_tiling(c, tokens, self.blocks)
        few, small = tiling.shape is FEW, tiling.shape in SMALL
        narrow = few or tiling.shape is NARROW
        item = c.dtype.itemsize
        gathers = narrow or (not small and p <= GATHERED_ROWS * c.experts)
        # Words carry a launch's number beside their value (kernels/gpu/hopper/few_words.mojo); counters have two sets.
        words = 2 if few else 1
        route = ROUTE_BY_DOTS if tokens <= 128 else ROUTE_BY_TILES
        sizes = {
            "finished": 0 if small else 8 * (p // tiling.tokens1 + c.experts + 1),
            "logits": 0 if small else 8 * (FEW_LOGITS if few else tokens) * c.logits_stride,
            "histogram": 0 if small else 4 * self.blocks * c.experts,
            "tokens": 8 * p if gathers else 0,
            "sorted": 0 if small or gathers else p * c.k0 * c.halves * item,
            "position": 0 if small else 4 * p,
            "hidden": 0 if small else p * c.hidden_stride * item * words,
            "expert_out": 0 if small else tiling.splits * p * c.d_stride * (4 if narrow else item) * words,
            "staged": tokens * c.k0 * c.halves * item if staged else 0,
        }
        offsets, total = {}, 0
        for name, size in sizes.items():
            offsets[name], total = total, total + round_up(size, 256)
        if not torch.cuda.is_current_stream_capturing():  # asking the driver would end the capture
            require_memory(total, f"a call of {tokens} tokens")
        # Zero is no launch's number.
        memory = (torch.zeros if narrow else torch.empty)(total, dtype=torch.uint8, device=c.device)
        base = memory.data_ptr()
        at = {name: base + offset for name, offset in offsets.items()}
        if gathers:
            at["sorted"] = 0
        if small:
            at["expert_out"], at["hidden"] = (half.data_ptr() for half in self.parts)
        ints = (
            tokens, c.d, c.experts, c.top_k, c.k0 * c.halves if staged else c.d, c.k0 * c.halves, c.k0, c.logits_stride,
            c.hidden_stride, c.d_stride, c.k0, c.k1, c.rows1, tiling.tokens1, tiling.tokens2, tiling.splits, route,
            c.activation, int(c.renormalize), int(staged),
        )  # fmt: skip
        addresses = (
            start, at["staged"] if staged else start, 0, 0, 0,
            c.router.data_ptr(), address(c.router_bias), address(c.b1), address(c.b2), c.sync.data_ptr(),
            at["finished"], at["logits"], at["histogram"], at["tokens"], at["sorted"], at["position"], at["hidden"],
            at["expert_out"],
        )  # fmt: skip
        dtype, gated = DTYPES[c.dtype], int(c.gated)
        shape = tiling.shape.number + (SMALL_OTHERS if small and c.activation != RELU else 0)
        handles = (dtype, gated, shape, compiled(self.device, dtype, gated, shape), self.maps, self.device)
        number = int(extension().plan(handles, addresses, ints, c.scale))
        return Plan(number=number, staged=at["staged"] if staged else 0, memory=memory)

    def forward(self, x: torch.Tensor, out: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Fills `out` on the current stream; returns the chosen experts and their weights beside it."""
        c = self.layer
        tokens = x.shape[0] if x.dim() == 2 else 0
        start, end = x.data_ptr(), out.data_ptr()
        fits = (
            x.dtype == out.dtype == c.dtype
            and x.device == out.device == c.device
            and x.shape == out.shape == (tokens, c.d)
            and x.is_contiguous()
            and out.is_contiguous()
            and tokens * c.top_k < MOST_PAIRS
        )
        size = tokens * c.d * c.dtype.itemsize
        if not fits or (start < end + size and end < start + size):
            explain(c, x, out)
        ids = torch.empty((tokens, c.top_k), dtype=torch.int32, device=c.device)
        gates = torch.empty((tokens, c.top_k), dtype=torch.float32, device=c.device)
        if tokens == 0:
            return None, ids, gates
        staged = c.halves > 1 or c.d % 64 != 0 or start % 16 != 0
        key = 2 * tokens + staged
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plans[key] = self.plan(tokens, start, staged=staged)
        call = (
            torch.cuda.current_stream(c.device).cuda_stream, start, plan.staged or start, end, ids.data_ptr(),
            gates.data_ptr(),
        )  # fmt: skip
        self.enqueue(self.dtype, plan.number, call)
        return None, ids, gates


def explain(c: Packed, x: torch.Tensor, out: torch.Tensor) -> None:
    """Raises ValueError for tensors the kernel cannot take. Apart, because to format the messages takes 10 us."""
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
    require(tokens * c.top_k < MOST_PAIRS, f"tokens * top_k must be below 2^31; it is {tokens * c.top_k}")
    require(tokens == 0, "out must not overlap x; it does")


def address(tensor: torch.Tensor | None) -> int:
    """Where a tensor's data is; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def prepare_layer(layer: Any) -> Callable[[torch.Tensor, torch.Tensor], tuple[None, torch.Tensor, torch.Tensor]]:  # noqa: ANN401 -- a Layer, which this folder may not import
    """Returns the layer's `forward`; see `prepare` in this folder's `__init__.py`."""
    require(torch.cuda.is_available(), "the Mojo GPU kernel needs a CUDA GPU; PyTorch sees none")
    torch.cuda.init()  # type: ignore[no-untyped-call]
    device, blocks = open_device(layer.w1.device.index or 0)
    packed = pack_layer(layer)
    matrices: list[int] = []
    for m in (packed.router_tiles, packed.first, packed.second):
        columns = BOX_BYTES // m.element_size()
        matrices += [m.data_ptr(), m.numel() // columns, columns]
    maps = extension().make_maps(device, DTYPES[packed.dtype], tuple(matrices))
    # Words that nobody wrote are all ones: see kernels/gpu/hopper/small_parts.mojo.
    size = (2, small_parts_bytes(packed, blocks))
    parts = torch.full(size, 255, dtype=torch.uint8, device=packed.device)
    torch.cuda.synchronize(packed.device)  # the packed weights are there for whatever stream comes
    return Prepared(
        layer=packed,
        device=device,
        blocks=blocks,
        maps=int(maps),
        parts=parts,
        enqueue=extension().forward,
        dtype=DTYPES[packed.dtype],
    ).forward
