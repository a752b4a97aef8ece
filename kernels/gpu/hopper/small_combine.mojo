"""The end of the kernel for small layers: the blocks of a range meet, then sum the parts of its tokens' outputs."""

from std.utils.static_tuple import StaticTuple
from max.gpu import lane_id

from hopper.layer import Layer
from hopper.ptx import add_release, load_acquire
from hopper.small_matmul import meet_computing
from hopper.small_shape import COMPUTING, Part, SmallBlock, SmallShape

comptime WORDS_APART = 32
"""Words between the counters of two ranges: 128 bytes, so that they are not serialized with each other."""
comptime AT_ONCE = 8
"""Parts a lane loads before it adds the first: one after another, each would wait 0.4 us for the L2 cache."""


@inline(.always)
def meet_range[dtype: DType](a: Layer[dtype], part: Part, thread: Int):
    """Waits for all blocks of the range. The counter's top bit flips once a launch, so nothing resets it."""
    meet_computing()
    if thread == 0:
        var word = a.sync.unsafe_offset((1 + part.index) * WORDS_APART)
        var step = UInt32(1)
        if part.member == 0:
            step = UInt32(0x80000000) - UInt32(part.members) + 1
        var before = add_release(word, step)
        while ((before ^ load_acquire(word)) & 0x80000000) == 0:
            pass
    meet_computing()


@inline(.always)
def combine_range[
    dtype: DType, shape: SmallShape
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, thread: Int):
    """The weighted sums of this block's share of the range's tokens, a warp a token, always in the same order."""
    comptime width = shape.groups * 4
    var column = Int(lane_id()) * width
    var d = Int(a.d_model)
    if column >= d:
        return
    var k = Int(a.top_k)
    var stride = Int(a.d_stride)
    var slice_apart = Int(a.n_tokens) * k * stride
    var parts = k * Int(a.splits)
    for token in range(thread // 32 * part.members + part.member, part.tokens, COMPUTING // 32 * part.members):
        var pair = (part.first + token) * k
        var from_ = a.expert_out.unsafe_bitcast[Scalar[dtype]]().unsafe_offset(pair * stride + column)
        var sum = SIMD[DType.float32, width](0)
        for batch in range(0, parts, AT_ONCE):
            var loaded = StaticTuple[SIMD[dtype, width], AT_ONCE]()
            var gates = SIMD[DType.float32, AT_ONCE](0)
            comptime for i in range(AT_ONCE):
                # Choices fastest: number p is slice p / k of choice p % k.
                var p = min(batch + i, parts - 1)
                var slice = Int(UInt32(p) // UInt32(k))
                var choice = p - slice * k
                loaded[i] = from_.unsafe_offset(slice * slice_apart + choice * stride).unsafe_load[
                    width=width, alignment=2 * width
                ]()
                gates[i] = block.gates()[unsafe_offset=token * k + choice]
            comptime for i in range(AT_ONCE):
                if batch + i < parts:
                    sum += gates[i] * loaded[i].cast[DType.float32]()
        var to = a.outputs.unsafe_offset((part.first + token) * d + column)
        if Int(a.outputs) % 16 == 0:
            to.unsafe_store[width=width, alignment=2 * width](sum.cast[dtype]())
        else:
            comptime for c in range(width):
                to[unsafe_offset=c] = sum[c].cast[dtype]()
