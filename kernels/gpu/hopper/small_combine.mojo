"""The end of the kernel for small layers: the sums of the parts of a range's tokens' outputs, as the parts come in."""

from std.memory import bitcast
from std.utils.static_tuple import StaticTuple
from max.gpu import lane_id

from hopper.layer import Layer
from hopper.memory import Global
from hopper.small_parts import UNWRITTEN, parts_of
from hopper.small_shape import COMPUTING, Part, SmallBlock, SmallShape

comptime AT_ONCE = 8
"""Parts a lane loads before it looks at the first: one after another, each would wait 0.4 us for the L2 cache."""


@inline(.always)
def load_part[dtype: DType, words: Int](p: Global[dtype]) -> SIMD[DType.uint32, words]:
    """The words of a part that one lane adds up, past the L1 cache."""
    return p.unsafe_bitcast[UInt32]().unsafe_load[width=words, alignment=4 * words, volatile=True]()


@inline(.always)
def is_there[words: Int](v: SIMD[DType.uint32, words]) -> Bool:
    """Whether all words were written."""
    var there = True
    comptime for i in range(words):
        there = there and v[i] != UNWRITTEN
    return there


@inline(.always)
def combine_range[
    dtype: DType, shape: SmallShape
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, thread: Int):
    """The weighted sums of this block's share of the range's tokens, a warp a token, always in the same order."""
    comptime width = shape.groups * 4
    comptime words = width // 2
    var column = Int(lane_id()) * width
    var d = Int(a.d_model)
    if column >= d:
        return
    var k = Int(a.top_k)
    var stride = Int(a.d_stride)
    var slice_apart = Int(a.n_tokens) * k * stride
    var parts = k * Int(a.splits)
    var whole = Int(a.outputs) % 16 == 0
    var set = parts_of(a, block)
    for token in range(thread // 32 * part.members + part.member, part.tokens, COMPUTING // 32 * part.members):
        var from_ = set.unsafe_offset((part.first + token) * k * stride + column)
        var sum = SIMD[DType.float32, width](0)
        var choice = 0
        for batch in range(0, parts, AT_ONCE):
            var loaded = StaticTuple[SIMD[DType.uint32, words], AT_ONCE]()
            var at = StaticTuple[Global[dtype], AT_ONCE]()
            var gates = SIMD[DType.float32, AT_ONCE](0)
            comptime for i in range(AT_ONCE):
                # Choices fastest, then slices; past the last, the last again.
                at[i] = from_.unsafe_offset(choice * stride)
                gates[i] = block.gates()[unsafe_offset=token * k + choice]
                if batch + i + 1 < parts:
                    choice += 1
                    if choice == k:
                        choice = 0
                        from_ = from_.unsafe_offset(slice_apart)
            comptime for i in range(AT_ONCE):
                loaded[i] = load_part[dtype, words](at[i])
            comptime for i in range(AT_ONCE):
                while not is_there(loaded[i]):
                    loaded[i] = load_part[dtype, words](at[i])
                if batch + i < parts:
                    sum += gates[i] * bitcast[dtype, width](loaded[i]).cast[DType.float32]()
        var to = a.outputs.unsafe_offset((part.first + token) * d + column)
        if whole:
            to.unsafe_store[width=width, alignment=2 * width](sum.cast[dtype]())
        else:
            comptime for c in range(width):
                to[unsafe_offset=c] = sum[c].cast[dtype]()
