"""Copies as the tile reads them. Weights: panels [steps, PANEL], one after the other, columns filled up with zeros."""

from .format import LANES, operand, paired, steps, terms
from .memory import Address, Bytes


@always_inline
def copy_cast[
    source: DType, target: DType
](values: Address[Scalar[source]], count: Int, copies: Address[Scalar[target]]):
    """`copies` holds `count` values as another dtype, or the same."""
    var j = 0
    while j + LANES <= count:
        copies.unsafe_store(j, values.unsafe_load[width=LANES](j).cast[target]())
        j += LANES
    while j < count:
        copies[unsafe_offset=j] = values[unsafe_offset=j].cast[target]()
        j += 1


@always_inline
def copy_operands[
    source: DType, dtype: DType
](values: Address[Scalar[source]], count: Int, copies: Address[Scalar[operand[dtype]()]]):
    """`copies` holds a row of `count` values as operands of a matmul of `dtype`."""
    copy_cast(values, count, copies)
    # What fills the last step up meets zero weights, and must not be a NaN that was left here.
    for rest in range(count, terms[dtype](count)):
        copies[unsafe_offset=rest] = 0


def pack_column[
    source: DType, dtype: DType
](matrix: Address[Scalar[source]], k: Int, n: Int, column: Int, packed: Bytes, vector: Int, step_stride: Int):
    """Vector `vector` of every step of a packed panel holds LANES columns of a [k, n] matrix, from `column` on.

    Steps lie `step_stride` bytes apart. Columns beyond `n`, and rows that fill the last step up, are zeros.
    """
    comptime pair = 2 if paired[dtype]() else 1
    var width = min(LANES, n - column)
    for step in range(steps[dtype](k)):
        var words = packed.unsafe_offset(step * step_stride).unsafe_bitcast[Scalar[dtype]]()
        var target = words.unsafe_offset(vector * LANES * pair)
        comptime for half in range(pair):
            var row = step * pair + half
            var line = matrix.unsafe_offset(row * n + column)
            comptime if pair == 1:
                if width == LANES:
                    target.unsafe_store(0, line.unsafe_load[width=LANES](0).cast[dtype]())
                    continue
            for lane in range(LANES):
                var inside = lane < width and row < k
                target[unsafe_offset=lane * pair + half] = line[unsafe_offset=lane].cast[dtype]() if inside else Scalar[
                    dtype
                ](0)


def pack_panel[
    dtype: DType
](
    first: Address[Scalar[dtype]],
    first_column: Int,
    second: Address[Scalar[dtype]],
    second_column: Int,
    k: Int,
    n: Int,
    packed: Bytes,
    step_stride: Int,
):
    """One panel: LANES columns of the first matrix beside LANES columns of the second, both [k, n].

    Plain: the same matrix, neighbouring columns. Gated: the same columns of the gate and of the up matrix, so that one
    tile holds both factors of a hidden unit and the product needs no second pass.
    """
    pack_column[dtype, dtype](first, k, n, first_column, packed, 0, step_stride)
    pack_column[dtype, dtype](second, k, n, second_column, packed, 1, step_stride)
