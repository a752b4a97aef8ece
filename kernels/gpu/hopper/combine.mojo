"""The weighted sum of the experts' outputs, in the order of the token's choices, in float32."""

from std.sys import size_of
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim

from hopper.consumer import out_type
from hopper.layer import Layer
from hopper.producer import by_words
from hopper.ptx import after_all, plus_zero
from hopper.schedule import divide
from hopper.shape import Block, Shape

comptime AT_ONCE = 8
"""Rows a thread loads before it adds the first: a load takes 0.7 us, and a block has eight warps to hide it."""
comptime WIDTH = 4


@inline(.always)
def combine[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """Fills the caller's output, four features a thread at a time: of 32 tokens of 2048, every thread has some."""
    comptime kind = out_type[dtype, shape]()
    var d = Int(a.d_model)
    var k = Int(a.top_k)
    var stride = Int(a.d_stride)
    var pieces = (d + WIDTH - 1) // WIDTH
    var rows = Int(a.n_tokens) * k
    var splits = Int(a.splits)
    var from_ = a.expert_out.unsafe_bitcast[Scalar[kind]]()
    # Where every block has sorted all pairs, it knows their places.
    var words = by_words[dtype, shape](a)
    var whole = d % WIDTH == 0 and Int(a.outputs) % 16 == 0
    for i in range(Int(block_idx.x) * threads + thread, Int(a.n_tokens) * pieces, Int(grid_dim.x) * threads):
        var token = divide(i, pieces)
        var column = (i - token * pieces) * WIDTH
        var sum = SIMD[DType.float32, WIDTH](0)
        var parts = k * splits
        var j = 0
        var apart = 0
        for batch in range(0, parts, AT_ONCE):
            var rows_at = SIMD[DType.int32, AT_ONCE](0)
            var gates = SIMD[DType.float32, AT_ONCE](0)
            var offset = StaticTuple[Int, AT_ONCE]()
            comptime for u in range(AT_ONCE):
                # Choices fastest, then parts of K; past the last, the last again.
                var pair = token * k + j
                rows_at[u] = block.window()[unsafe_offset=pair] if words else a.position[unsafe_offset=pair]
                gates[u] = a.gates[unsafe_offset=pair]
                offset[u] = apart + column
                if batch + u + 1 < parts:
                    j += 1
                    if j == k:
                        j = 0
                        apart += rows * stride
            var y = StaticTuple[SIMD[kind, WIDTH], AT_ONCE]()
            comptime for u in range(AT_ONCE):
                y[u] = from_.unsafe_offset(offset[u] + Int(rows_at[u]) * stride).unsafe_load[
                    width=WIDTH, alignment=4 * WIDTH
                ]()
            sum = plus_zero[WIDTH](sum, after_all[WIDTH](y, a.n_tokens))
            comptime for u in range(AT_ONCE):
                if batch + u < parts:
                    sum += gates[u] * y[u].cast[DType.float32]()
        var to = a.outputs.unsafe_offset(token * d + column)
        if whole:
            to.unsafe_store[width=WIDTH, alignment=WIDTH * size_of[dtype]()](sum.cast[dtype]())
        else:
            comptime for c in range(WIDTH):
                if column + c < d:
                    to[unsafe_offset=c] = sum[c].cast[dtype]()
