"""Which compiled variant and which tiles for a number of tokens: compared by an estimate of cycles, never reported."""

# ruff: noqa: PLR2004, PLR0913 - thresholds between regimes stand where they are used
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .packing import round_up

if TYPE_CHECKING:
    from .packing import Packed


@dataclass(frozen=True, slots=True, kw_only=True)
class TileShape:
    """A compiled variant: its number in the extension, weight rows and most tokens of a tile."""

    number: int
    rows: int
    tokens: int


WIDE = TileShape(number=0, rows=256, tokens=160)
MEDIUM = TileShape(number=1, rows=128, tokens=160)
NARROW = TileShape(number=2, rows=128, tokens=32)
#: NARROW for calls of at most so many tokens and pairs, without barriers of the grid.
FEW = TileShape(number=3, rows=128, tokens=8)
FEW_TOKENS, FEW_PAIRS = 4, 32
#: Rows of logits: eight copies.
FEW_LOGITS = 8 * FEW_TOKENS
#: The kernel for small layers: one block does a range of tokens for a slice of an expert, its d at most `rows`.
SMALL_256 = TileShape(number=4, rows=256, tokens=128)
SMALL_128 = TileShape(number=5, rows=128, tokens=128)
#: SMALL_256 where two slices of an expert are a pair, a cluster of two blocks.
SMALL_PAIRED = TileShape(number=6, rows=256, tokens=128)
SMALL = (SMALL_128, SMALL_256, SMALL_PAIRED)
#: How much higher the numbers of small kernels for other activations than ReLU are.
SMALL_OTHERS = 3
SMALL_EXPERTS, SMALL_CHOICES = 8, 4


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
    each = math.ceil(rows / tiles)
    tokens = round_up(each, 8 if each > 128 else 16)
    count = experts * tiles * math.ceil(out / shape.rows) * splits
    stage = max(shape.rows * tokens * 128 / 4096, (shape.rows + tokens) * 128 / 40)
    return math.ceil(count / blocks) * (k / 64 / splits * stage + 1500)


def small_tiling(layer: Packed, tokens: int, blocks: int) -> Tiling | None:
    """Tiles of the kernel for small layers, if all its blocks find a multiprocessor each.

    `tokens1` is the tokens of a range and `splits` the slices of an expert.
    """
    if layer.halves == 2 or layer.experts > SMALL_EXPERTS or layer.top_k > SMALL_CHOICES:
        return None
    for shape in (SMALL_128, SMALL_256):
        slices = -(-layer.rows1 // shape.rows)
        ranges = blocks // (layer.experts * slices)
        if layer.d_stride == shape.rows and ranges and tokens <= ranges * shape.tokens:
            each = round_up(-(-tokens // ranges), 16)
            used = SMALL_PAIRED if shape is SMALL_256 and slices % 2 == 0 else shape
            return Tiling(shape=used, tokens1=each, tokens2=each, splits=slices, cycles=0.0)
    return None


def small_parts_bytes(layer: Packed, blocks: int) -> int:
    """Bytes of the largest set of parts that blocks of the kernel for small layers hand on; 0: it never runs."""
    tiling = small_tiling(layer, 1, blocks)
    if tiling is None:
        return 0
    most = blocks // (layer.experts * tiling.splits) * tiling.shape.tokens
    return tiling.splits * most * layer.top_k * layer.d_stride * layer.dtype.itemsize


def choose_tiling(layer: Packed, tokens: int, blocks: int) -> Tiling:
    """The cheapest variant and tiles for `tokens` tokens that spread evenly over the experts."""
    pairs = tokens * layer.top_k
    experts = layer.experts * (1 - (1 - layer.top_k / layer.experts) ** tokens)
    # Two standard deviations above the mean: an expert a little over a tile's size costs a whole tile more.
    mean = pairs / experts
    rows = min(tokens, mean + (2 * math.sqrt(mean) if layer.experts > layer.top_k else 0))
    wide = layer.halves * 1.5 if layer.halves == 2 else 1.0
    best: Tiling | None = None
    few = tokens <= FEW_TOKENS and pairs <= FEW_PAIRS
    for shape in (FEW, NARROW, MEDIUM, WIDE):
        # A few rows per expert: the stream of weights is the bound, and NARROW keeps 160 KiB of it in flight.
        streams = shape in {FEW, NARROW}
        if streams != (rows <= NARROW.tokens) or (streams and few != (shape is FEW)):
            continue
        caps = [
            c for c in (16, 32, 48, 64, 80, 96, 128, 160) if c <= min(shape.tokens, 80 if layer.halves == 2 else 160)
        ]
        caps = [shape.tokens] if streams else caps
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
            for s in ((1, 2, 4, 8) if streams and layer.k1 >= 512 else (1,))
        )
        cycles = first[0] + second[0]
        if best is None or cycles < best.cycles:
            best = Tiling(shape=shape, tokens1=-first[1], tokens2=-second[1], splits=second[2], cycles=cycles)
    assert best is not None
    return best
