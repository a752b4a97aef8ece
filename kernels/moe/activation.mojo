"""From a finished tile of the first matmul to hidden units: activation, gate, storage."""

from std.math import erf, exp, tanh
from std.sys import llvm_intrinsic

from .format import LANES, PANEL, Vec, operand
from .memory import Address, Floats

comptime RELU = 0
comptime GELU = 1
comptime GELU_TANH = 2
comptime SILU = 3
comptime ACTIVATIONS = 4


@always_inline
def activate[kind: Int](x: Vec) -> Vec:
    """The activation of each lane; NaN stays NaN."""
    comptime if kind == RELU:
        # Not max(x, 0): the instruction returns the second operand for a NaN, and would turn it into 0.
        return x.lt(0).select(Vec(0), x)
    elif kind == GELU:
        return 0.5 * x * (1 + erf(x * 0.7071067811865476))
    elif kind == GELU_TANH:
        return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))
    else:
        return x / (1 + exp(-x))


@always_inline
def hidden_row[to: DType, kind: Int, gated: Bool](sums: Floats, hidden: Address[Scalar[to]]):
    """The hidden units of one row of a panel."""
    var first = activate[kind](sums.unsafe_load[width=LANES](0))
    var second = sums.unsafe_load[width=LANES](LANES)
    comptime if gated:
        hidden.unsafe_store(0, (first * second).cast[to]())
    else:
        # Together: half the stores.
        # Together: half the stores.
        var last = activate[kind](second)
        comptime if to == DType.bfloat16:
            # One instruction and one store; of the joined vectors' cast the compiler makes two and a third to join.
            comptime both = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
            hidden.unsafe_store(0, llvm_intrinsic[both, SIMD[to, 2 * LANES], has_side_effect=False](last, first))
        else:
            hidden.unsafe_store(0, first.join(last).cast[to]())


@no_inline
def _hidden[
    dtype: DType, kind: Int, gated: Bool
](rows: Int, panels: Int, sums: Floats, ld_sums: Int, hidden: Address[Scalar[operand[dtype]()]], ld_hidden: Int):
    comptime units = LANES if gated else PANEL
    for i in range(rows):
        for p in range(panels):
            hidden_row[operand[dtype](), kind, gated](
                sums.unsafe_offset(i * ld_sums + p * PANEL), hidden.unsafe_offset(i * ld_hidden + p * units)
            )


@always_inline
def store_hidden[
    dtype: DType
](
    kind: Int,
    gated: Bool,
    rows: Int,
    panels: Int,
    sums: Floats,
    ld_sums: Int,
    hidden: Address[Scalar[operand[dtype]()]],
    ld_hidden: Int,
):
    """`hidden` holds the activated (and gated) sums of `panels` panels, as the second matmul reads them.

    Args:
        kind: One of RELU, GELU, GELU_TANH, SILU.
        gated: Whether a panel holds gate sums beside up sums, rather than neighbouring columns.
        rows: Rows of the tile.
        panels: Panels of the tile.
        sums: [rows, panels * PANEL], finished.
        ld_sums: Floats from one row of sums to the next.
        hidden: Where the first of the units goes.
        ld_hidden: Elements from one row of hidden units to the next.
    """
    comptime for k in range(ACTIVATIONS):
        if kind == k:
            if gated:
                _hidden[dtype, k, True](rows, panels, sums, ld_sums, hidden, ld_hidden)
            else:
                _hidden[dtype, k, False](rows, panels, sums, ld_sums, hidden, ld_hidden)
