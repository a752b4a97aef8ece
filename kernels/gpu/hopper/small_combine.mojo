"""The end of the kernel for small layers: the sums of the parts of a range's tokens' outputs, as the parts come in."""

from std.memory import bitcast
from std.utils.static_tuple import StaticTuple
from max.gpu import lane_id

from hopper.layer import Layer
from hopper.memory import Global
from hopper.ptx import ballot
from hopper.shape import GROUP_ROWS
from hopper.small_parts import UNWRITTEN, parts_a_choice, parts_of
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
    # A pair's parts have two of each four features side by side, and the other two 64 on.
    comptime pieces = 2 if shape.paired else 1
    comptime words = width // 2 // pieces
    comptime at_once = AT_ONCE // pieces
    var lane = Int(lane_id())
    var column = lane * width
    var d = Int(a.d_model)
    var inside = column < d
    var place = lane // 16 * GROUP_ROWS + lane % 16 * 4 if shape.paired else column
    var k = Int(a.top_k)
    var stride = Int(a.d_stride)
    var slice_apart = Int(a.n_tokens) * k * stride
    var parts = k * parts_a_choice[dtype, shape](a)
    var whole = Int(a.outputs) % 16 == 0
    var set = parts_of(a, block)
    # A multiplication in place of a division by one to four choices.
    var by_choices = 21846 if k == 3 else 65536 >> (k // 2)
    for token in range(thread // 32 * part.members + part.member, part.tokens, COMPUTING // 32 * part.members):
        var rows = set.unsafe_offset((part.first + token) * k * stride)
        var from_ = rows.unsafe_offset(place if inside else 0)
        var sum = SIMD[DType.float32, width](0)
        var choice = 0
        for batch in range(0, parts, at_once):
            comptime if shape.groups == 2:
                # A lane a part looks at its last word alone until it is there: to ask for all of them in vain would take the
                # L2 cache as long as to hand them out, 0.4 us and more when all blocks do.
                var own = min(batch + lane % at_once, parts - 1)
                var slice = own * by_choices >> 16
                var watched = rows.unsafe_offset(slice * slice_apart + (own - slice * k) * stride + stride - 2)
                while ballot(load_part[dtype, 1](watched)[0] == UNWRITTEN) != 0:
                    pass
            var loaded = StaticTuple[SIMD[DType.uint32, words], AT_ONCE]()
            var at = StaticTuple[Global[dtype], at_once]()
            var gates = SIMD[DType.float32, at_once](0)
            comptime for i in range(at_once):
                # Choices fastest, then slices; past the last, the last again.
                at[i] = from_.unsafe_offset(choice * stride)
                gates[i] = block.gates()[unsafe_offset=token * k + choice]
                if batch + i + 1 < parts:
                    choice += 1
                    if choice == k:
                        choice = 0
                        from_ = from_.unsafe_offset(slice_apart)
            comptime for i in range(AT_ONCE):
                loaded[i] = load_part[dtype, words](at[i // pieces].unsafe_offset(i % pieces * 64))
            # All that were not there are asked for again together: one after another, each would wait for the L2 cache.
            while True:
                var there = True
                comptime for l in range(AT_ONCE):
                    there = there and is_there(loaded[l])
                if there:
                    break
                comptime for l in range(AT_ONCE):
                    if not is_there(loaded[l]):
                        loaded[l] = load_part[dtype, words](at[l // pieces].unsafe_offset(l % pieces * 64))
            comptime for i in range(at_once):
                if batch + i < parts:
                    comptime for piece in range(pieces):
                        var part_ = bitcast[dtype, width // pieces](loaded[i * pieces + piece]).cast[DType.float32]()
                        comptime for c in range(width // pieces):
                            comptime to = c if pieces == 1 else c // 2 * 4 + piece * 2 + c % 2
                            sum[to] += gates[i] * part_[c]
        if inside:
            var to = a.outputs.unsafe_offset((part.first + token) * d + column)
            if whole:
                to.unsafe_store[width=width, alignment=2 * width](sum.cast[dtype]())
            else:
                comptime for c in range(width):
                    to[unsafe_offset=c] = sum[c].cast[dtype]()
