"""The register tile: a few rows times a few packed panels, accumulated in registers."""

from std.collections import Array
from std.sys.intrinsics import PrefetchOptions, prefetch

from .ablated_tile import one_sum_tile, run_time_tile
from .ablation import ONE_SUM, ROW_MAJOR, RUN_TIME_TILE
from .format import LANES, MANY_REGISTERS, TILE_ROWS, TILE_VECTORS, Vec
from .memory import Bytes, CACHE_LINE, Floats
from .step import finished, load, multiply_add, vector_bytes

# A one-row tile has 2 accumulators per panel, and a multiply-add takes 4 cycles at 2 per cycle: 4 panels hide that.
comptime MAX_GROUP = 4
# Bytes ahead of where a group of panels is read that are fetched into L2. The processor fetches ahead by itself, but no
# further than the end of a page. Layers of 604 MB, 4 rows for each expert, take 10 % less time on two Emerald Rapids
# cores; 2 and 8 KiB do as well. One row alone leaves no room for it: it takes 9 % more where weights lie in L2.
comptime GROUP_AHEAD = 4096
# Steps that a tile takes between two jumps. 6 x 16 has 12 multiply-adds a step beside 18 other instructions, of which four
# steps together save a fourth: a core that a stranger's thread shares has no room for them. On two such Zen3 cores seed-claim
# takes 4 % less time, seed-quick 6 %, bfloat16 5 %, Qwen3's 512 tokens 13 %. Twelve rows of AVX-512 have 24 beside 17, and
# unrolled LLVM spills their sums: 64 % of the peak on an Emerald Rapids core.
comptime STEPS_AT_ONCE = 1 if MANY_REGISTERS else 4


@always_inline
def _fetch(weights: Bytes):
    """A line of weights comes into L2."""
    prefetch[PrefetchOptions().for_read().medium_locality().to_data_cache()](weights)


@no_inline
def tile[
    dtype: DType, rows: Int, panels: Int, vectors: Int, relu: Bool = False, known_steps: Int = 0
](
    count: Int,
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    panel_stride: Int,
    step_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
    ahead: Bytes,
    ahead_stride: Int,
):
    """C = start + A W for `count` times `rows` rows and `panels` neighbouring panels of `vectors` vectors each.

    The order of summation of an element is k = 0, 1, 2, ... whatever the tile: results do not depend on how rows and
    panels are grouped, nor on a split of K (start again from C).

    Tiles of a panel are done in one call: on an Emerald Rapids core it reaches 97.7 % of the multiply-add peak with 256
    steps and 99.1 % with 1024; a call for each tile reached 96.9 and 96.4 %.

    Parameters:
        dtype: Of the packed weights.
        rows: Rows of A and C that one tile takes.
        panels: Panels computed together.
        vectors: Vectors in a row of a panel.
        relu: Whether C is activated as it is stored, which saves another pass over it.
        known_steps: What `steps` will be, where the compiler is to know it; else 0.

    Args:
        count: Tiles below each other.
        steps: Terms of the sum, in steps of `dtype` (pairs when paired).
        a: First word of A; a word is a float32 or a pair.
        lda: Words from one row of A to the next.
        weights: First packed panel [steps, vectors * LANES].
        panel_stride: Bytes from one panel to the next.
        step_stride: Bytes from one step of a panel to the next: those of a step, unless matrices are row-major.
        start: What the sums start from: [panels * vectors * LANES] floats per row, 64-byte aligned or not.
        start_stride: Floats from one row of `start` to the next; 0 for a bias.
        c: First element of C; may be `start`.
        ldc: Floats from one row of C to the next.
        ahead: Weights that will be read later, fetched into L2 meanwhile, a line every step; by one panel alone.
        ahead_stride: Bytes from one such fetch to the next.
    """
    comptime columns = panels * vectors
    var next = ahead
    for index in range(count):
        var sums = Array[Vec, rows * columns](fill=Vec(0))
        var begin = start.unsafe_offset(index * rows * start_stride)
        comptime for i in range(rows):
            comptime for j in range(columns):
                sums[i * columns + j] = begin.unsafe_load[width=LANES](i * start_stride + j * LANES)
        var row = a.unsafe_offset(index * rows * lda)
        var panel = weights
        var total = known_steps if known_steps > 0 else steps
        # Whole groups of steps, then the rest one by one.
        comptime for rest in range(2):
            comptime at_once = 1 if rest == 1 else STEPS_AT_ONCE
            for _ in range(total % STEPS_AT_ONCE if rest == 1 else total // STEPS_AT_ONCE):
                # Several panels at once are for few rows, which read weights as fast as they come: see GROUP_AHEAD.
                comptime if panels == 1:
                    _fetch(next)
                    if ahead_stride > CACHE_LINE // at_once:
                        comptime for step in range(1, at_once):
                            _fetch(next.unsafe_offset(step * ahead_stride))
                    next = next.unsafe_offset(at_once * ahead_stride)
                comptime for _ in range(at_once):
                    # Rows inside, and a panel's weights loaded first: the other order keeps every broadcast alive and spills.
                    comptime for p in range(panels):
                        var loaded = Array[Vec, vectors](fill=Vec(0))
                        comptime if panels > 1 and rows > 1:
                            comptime for line in range(0, vectors * vector_bytes[dtype](), CACHE_LINE):
                                var later = panel.unsafe_offset(p * panel_stride + GROUP_AHEAD + line)
                                _fetch(later)
                        comptime for j in range(vectors):
                            loaded[j] = load[dtype](panel.unsafe_offset(p * panel_stride), j * LANES)
                        comptime for i in range(rows):
                            comptime for j in range(vectors):
                                comptime at = i * columns + p * vectors + j
                                sums[at] = multiply_add[dtype](row[unsafe_offset=i * lda], loaded[j], sums[at])
                    row = row.unsafe_offset(1)
                    comptime if ROW_MAJOR:
                        panel = panel.unsafe_offset(step_stride)
                    else:
                        panel = panel.unsafe_offset(vectors * vector_bytes[dtype]())
        var end = c.unsafe_offset(index * rows * ldc)
        comptime for i in range(rows):
            comptime for j in range(columns):
                end.unsafe_store(i * ldc + j * LANES, finished[relu](sums[i * columns + j]))


def group_size[rows: Int, vectors: Int]() -> Int:
    """How many panels a tile of `rows` rows takes at once: as many as have accumulators, at most MAX_GROUP."""
    return max(1, min(MAX_GROUP, TILE_ROWS * TILE_VECTORS // (rows * vectors)))


@always_inline
def tile_of[
    dtype: DType, vectors: Int, grouped: Bool, relu: Bool = False, known_steps: Int = 0
](
    rows: Int,
    count: Int,
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    panel_stride: Int,
    step_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
    ahead: Bytes,
    ahead_stride: Int,
):
    """`tile` with a row count known only now, of one panel, or of the whole group of that many rows."""
    comptime if RUN_TIME_TILE or ONE_SUM:
        var panels = group_of[vectors](rows) if grouped else 1
        for index in range(count):
            var tile_a = a.unsafe_offset(index * rows * lda)
            var begin = start.unsafe_offset(index * rows * start_stride)
            var end = c.unsafe_offset(index * rows * ldc)
            comptime if RUN_TIME_TILE:
                run_time_tile[dtype, vectors, relu](
                    rows, panels, steps, tile_a, lda, weights, panel_stride, step_stride, begin, start_stride, end, ldc
                )
            else:
                one_sum_tile[dtype, vectors, relu](
                    rows, panels, steps, tile_a, lda, weights, panel_stride, step_stride, begin, start_stride, end, ldc
                )
    else:
        comptime for r in range(1, TILE_ROWS + 1):
            if rows == r:
                comptime panels = group_size[r, vectors]() if grouped else 1
                tile[dtype, r, panels, vectors, relu, known_steps](
                    count,
                    steps,
                    a,
                    lda,
                    weights,
                    panel_stride,
                    step_stride,
                    start,
                    start_stride,
                    c,
                    ldc,
                    ahead,
                    ahead_stride,
                )


@always_inline
def tiles_of[
    dtype: DType, vectors: Int, relu: Bool = False, known_steps: Int = 0
](
    rows: Int,
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    step_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
    ahead: Bytes,
    ahead_stride: Int,
):
    """One panel's columns of C = start + A W for any number of rows, in tiles that differ by at most one row.

    49 rows are 10 + 10 + 10 + 10 + 9, not 4 x 12 + 1: a one-row tile takes the time of four rows.

    From `ahead` on, `ahead_stride` bytes are fetched for every step of the panel: the tiles read a panel from L2 but for the
    first, which would wait for L3. With it seed-claim takes 2 % less time on two Zen5 cores, experts of 1024 x 4096 9 %
    less; on a Sapphire Rapids core 4 and 25 %.
    """
    var tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    var height = rows // tiles
    var taller = rows - tiles * height
    var stride = ahead_stride // tiles
    if taller > 0:
        tile_of[dtype, vectors, False, relu, known_steps](
            height + 1, taller, steps, a, lda, weights, 0, step_stride, start, start_stride, c, ldc, ahead, stride
        )
    var above = taller * (height + 1)
    tile_of[dtype, vectors, False, relu, known_steps](
        height,
        tiles - taller,
        steps,
        a.unsafe_offset(above * lda),
        lda,
        weights,
        0,
        step_stride,
        start.unsafe_offset(above * start_stride),
        start_stride,
        c.unsafe_offset(above * ldc),
        ldc,
        ahead.unsafe_offset(taller * steps * stride),
        stride,
    )


def group_of[vectors: Int](rows: Int) -> Int:
    """`group_size` with a row count known only now."""
    return max(1, min(MAX_GROUP, TILE_ROWS * TILE_VECTORS // (rows * vectors)))
