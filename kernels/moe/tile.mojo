"""The register tile: a few rows times a few packed panels, accumulated in registers. All the arithmetic is here."""

from std.collections import Array
from std.memory import bitcast
from std.sys import llvm_intrinsic

from .activation import RELU, activate
from .format import LANES, TILE_ROWS, TILE_VECTORS, Vec, bytes_of, paired
from .memory import Address, Bytes, Floats

# A one-row tile has 2 accumulators per panel, and a multiply-add takes 4 cycles at 2 per cycle: 4 panels hide that.
comptime MAX_GROUP = 4


@always_inline
def _multiply_add[dtype: DType](activation: Float32, weights: Vec, sum: Vec) -> Vec:
    """`sum + activation * weights`, where both hold a pair of bfloat16 in each word when `dtype` is paired."""
    comptime if paired[dtype]():
        comptime Pairs = SIMD[DType.bfloat16, 2 * LANES]
        return llvm_intrinsic["llvm.x86.avx512bf16.dpbf16ps.512", Vec, has_side_effect=False](
            sum, bitcast[DType.bfloat16, 2 * LANES](Vec(activation)), bitcast[DType.bfloat16, 2 * LANES](weights)
        )
    else:
        return Vec(activation).fma(weights, sum)


@always_inline
def _load[dtype: DType](weights: Bytes, offset: Int) -> Vec:
    """One vector of packed words: as they are when float32 or paired, widened to float32 otherwise."""
    comptime if paired[dtype]():
        return weights.unsafe_bitcast[Float32]().unsafe_load[width=LANES, alignment=4 * LANES](offset)
    else:
        comptime alignment = LANES * bytes_of[dtype]()
        var words = weights.unsafe_bitcast[Scalar[dtype]]().unsafe_load[width=LANES, alignment=alignment](offset)
        return words.cast[DType.float32]()


@no_inline
def tile[
    dtype: DType, rows: Int, panels: Int, vectors: Int, relu: Bool = False
](
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    panel_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
):
    """C = start + A W for `rows` rows and `panels` neighbouring panels of `vectors` vectors each.

    The order of summation of an element is k = 0, 1, 2, ... whatever the tile: results do not depend on how rows and
    panels are grouped, nor on a split of K (start again from C).

    Parameters:
        dtype: Of the packed weights.
        rows: Rows of A and C.
        panels: Panels computed together.
        vectors: Vectors in a row of a panel.
        relu: Whether C is activated as it is stored, which saves another pass over it.

    Args:
        steps: Terms of the sum, in steps of `dtype` (pairs when paired).
        a: First word of A; a word is a float32 or a pair.
        lda: Words from one row of A to the next.
        weights: First packed panel [steps, vectors * LANES].
        panel_stride: Bytes from one panel to the next.
        start: What the sums start from: [panels * vectors * LANES] floats per row, 64-byte aligned or not.
        start_stride: Floats from one row of `start` to the next; 0 for a bias.
        c: First element of C; may be `start`.
        ldc: Floats from one row of C to the next.
    """
    comptime columns = panels * vectors
    comptime word = 4 if paired[dtype]() else bytes_of[dtype]()
    var sums = Array[Vec, rows * columns](fill=Vec(0))
    comptime for i in range(rows):
        comptime for j in range(columns):
            sums[i * columns + j] = start.unsafe_load[width=LANES](i * start_stride + j * LANES)
    var row = a
    var panel = weights
    for _ in range(steps):
        # Rows inside, and the weights of a panel loaded first: the other order keeps every broadcast alive and spills.
        comptime for p in range(panels):
            var loaded = Array[Vec, vectors](fill=Vec(0))
            comptime for j in range(vectors):
                loaded[j] = _load[dtype](panel.unsafe_offset(p * panel_stride), j * LANES)
            comptime for i in range(rows):
                comptime for j in range(vectors):
                    comptime at = i * columns + p * vectors + j
                    sums[at] = _multiply_add[dtype](row[unsafe_offset=i * lda], loaded[j], sums[at])
        row = row.unsafe_offset(1)
        panel = panel.unsafe_offset(vectors * LANES * word)
    comptime for i in range(rows):
        comptime for j in range(columns):
            comptime if relu:
                c.unsafe_store(i * ldc + j * LANES, activate[RELU](sums[i * columns + j]))
            else:
                c.unsafe_store(i * ldc + j * LANES, sums[i * columns + j])


def group_size[rows: Int, vectors: Int]() -> Int:
    """How many panels a tile of `rows` rows takes at once: as many as have accumulators, at most MAX_GROUP."""
    return max(1, min(MAX_GROUP, TILE_ROWS * TILE_VECTORS // (rows * vectors)))


@always_inline
def tile_of[
    dtype: DType, vectors: Int, grouped: Bool, relu: Bool = False
](
    rows: Int,
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    panel_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
):
    """`tile` with a row count known only now, of one panel, or of the whole group of that many rows."""
    comptime for r in range(1, TILE_ROWS + 1):
        if rows == r:
            comptime panels = group_size[r, vectors]() if grouped else 1
            tile[dtype, r, panels, vectors, relu](steps, a, lda, weights, panel_stride, start, start_stride, c, ldc)


def group_of[vectors: Int](rows: Int) -> Int:
    """`group_size` with a row count known only now."""
    return max(1, min(MAX_GROUP, TILE_ROWS * TILE_VECTORS // (rows * vectors)))
