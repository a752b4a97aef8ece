"""The weighted sum of the experts' outputs, in the order of the token's choices, in float32."""

from std.sys import size_of
from max.gpu import block_idx, grid_dim

from hopper.consumer import out_type
from hopper.layer import Layer
from hopper.schedule import divide
from hopper.shape import Shape


@inline(.always)
def combine[dtype: DType, shape: Shape](a: Layer[dtype], thread: Int, threads: Int):
    """Fills the caller's output, eight features a thread at a time."""
    comptime kind = out_type[dtype, shape]()
    var d = Int(a.d_model)
    var k = Int(a.top_k)
    var stride = Int(a.d_stride)
    var pieces = (d + 7) // 8
    var rows = Int(a.n_tokens) * k
    var whole = d % 8 == 0 and Int(a.outputs) % 16 == 0
    for i in range(Int(block_idx.x) * threads + thread, Int(a.n_tokens) * pieces, Int(grid_dim.x) * threads):
        var token = divide(i, pieces)
        var column = (i - token * pieces) * 8
        var sum = SIMD[DType.float32, 8](0)
        for j in range(k):
            var row = Int(a.position[unsafe_offset=token * k + j])
            var from_ = a.expert_out.unsafe_bitcast[Scalar[kind]]().unsafe_offset(row * stride + column)
            var y = from_.unsafe_load[width=8, alignment=16]().cast[DType.float32]()
            for s in range(1, Int(a.splits)):
                y += from_.unsafe_offset(s * rows * stride).unsafe_load[width=8, alignment=16]().cast[DType.float32]()
            sum += a.gates[unsafe_offset=token * k + j] * y
        var to = a.outputs.unsafe_offset(token * d + column)
        if whole:
            to.unsafe_store[width=8, alignment=16](sum.cast[dtype]())
        else:
            comptime for c in range(8):
                if column + c < d:
                    to[unsafe_offset=c] = sum[c].cast[dtype]()
