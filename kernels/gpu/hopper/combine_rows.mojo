"""The weighted sum of the experts' outputs where there are many: rows come through shared memory, in bulk.

One warp asks for the rows of the next tokens, four stages ahead; the consumers add up what has landed. Threads that loaded
rows for themselves had 32 KiB in flight only now and then, and read at a quarter of what memory gives.

A stage has SUM_ROWS slots, each as wide as 16 bytes a consumer. A slot holds one choice of `abreast` tokens side by side, a
chunk of their columns where a row is wider than a slot; where a token has fewer choices than there are slots, several
tokens share a stage one behind the other. With more choices, a token takes several stages.
"""

from std.sys import size_of
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim
from max.gpu.sync import syncwarp

from hopper.layer import Layer
from hopper.ptx import copy_bulk, fence_async_global
from hopper.producer import Ring
from hopper.schedule import ceildiv, divide
from hopper.shape import Block, SUM_ROWS, SUM_STAGES, Shape


@fieldwise_init
struct Summing(TrivialRegisterPassable):
    """How tokens are laid out over stages, slots and threads."""

    var columns: Int
    """Of a row in a stage."""
    var chunks: Int
    """Of a row."""
    var abreast: Int
    """Tokens side by side in a slot."""
    var choices: Int
    """Most choices of a token in a stage."""
    var behind: Int
    """Tokens one behind the other in a stage."""
    var tokens: Int
    """Of a stage."""

    @staticmethod
    @inline(.always)
    def of[dtype: DType, shape: Shape](a: Layer[dtype]) -> Self:
        """The layout of a call."""
        comptime slot = shape.consumers * 128 * (16 // size_of[dtype]())
        var stride = Int(a.d_stride)
        var columns = min(stride, slot)
        var abreast = divide(slot, columns)
        var choices = min(Int(a.top_k), SUM_ROWS)
        var behind = divide(SUM_ROWS, choices)
        return Self(columns, ceildiv(stride, slot), abreast, choices, behind, abreast * behind)


@inline(.always)
def fetch_summands[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], lane: Int):
    """One warp: the rows that this block adds up, a lane a row, as stages become free."""
    comptime item = UInt32(size_of[dtype]())
    comptime slot_bytes = UInt32(shape.consumers * 128 * 16)
    # 32-bit numbers: the producers have 40 registers each.
    var s = Summing.of[dtype, shape](a)
    var columns = UInt32(s.columns)
    var abreast = UInt32(s.abreast)
    var most = UInt32(s.choices)
    var k = UInt32(a.top_k)
    var all = UInt32(a.n_tokens)
    var stride = UInt32(a.d_stride)
    var ring = Ring(0, 1)
    # The rows were written by ordinary stores.
    fence_async_global()
    var group = UInt32(block_idx.x) * UInt32(s.tokens)
    while group < all:
        var tokens = min(UInt32(s.tokens), all - group)
        var column = UInt32(0)
        while column < stride:
            var bytes = min(columns, stride - column) * item
            var choice = UInt32(0)
            while choice < k:
                var choices = min(most, k - choice)
                var rows = tokens * choices
                var row = UInt32(lane)
                var token = row // choices
                var place = Int32(0)
                if row < rows:
                    # On its way while the warp waits for the stage.
                    place = a.position[unsafe_offset=Int((group + token) * k + choice + row - token * choices)]
                block.sum_empty()[unsafe_offset=ring.stage].wait(ring.parity)
                if lane == 0:
                    block.sum_full()[unsafe_offset=ring.stage].expect_bytes(Int32(rows * bytes))
                syncwarp()
                while row < rows:
                    var j = row - token * choices
                    var behind = token // abreast
                    copy_bulk(
                        block.summands(ring.stage).unsafe_offset(
                            Int((behind * most + j) * slot_bytes + (token - behind * abreast) * columns * item)
                        ),
                        a.expert_out.unsafe_offset((Int(place) * Int(stride) + Int(column)) * Int(item)),
                        bytes,
                        UInt32(Int(block.sum_full().unsafe_offset(ring.stage))),
                    )
                    row += 32
                    if row < rows:
                        token = row // choices
                        place = a.position[unsafe_offset=Int((group + token) * k + choice + row - token * choices)]
                ring.advance[SUM_STAGES]()
                choice += most
            column += columns
        group += UInt32(grid_dim.x) * UInt32(s.tokens)


@inline(.always)
def sum_summands[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int):
    """The consumers: each 16 bytes of a row's columns, for all tokens of a stage, choices in their order."""
    comptime width = 16 // size_of[dtype]()
    comptime slot_bytes = shape.consumers * 128 * 16
    var s = Summing.of[dtype, shape](a)
    var k = Int(a.top_k)
    var d = Int(a.d_model)
    var all = Int(a.n_tokens)
    var pieces = s.columns // width
    var beside = divide(thread, pieces)
    var inside = (thread - beside * pieces) * width
    var whole = d % width == 0 and Int(a.outputs) % 16 == 0
    var ring = Ring(0, 0)
    for group in range(Int(block_idx.x) * s.tokens, all, Int(grid_dim.x) * s.tokens):
        for chunk in range(s.chunks):
            var column = chunk * s.columns + inside
            var here = beside < s.abreast and column < d
            var sum = SIMD[DType.float32, width](0)
            for choice in range(0, k, s.choices):
                var last = min(s.choices, k - choice) - 1
                # The slots' weights: on their way while the rows are awaited. What is in slots beyond the last token or the
                # last choice is added up too, and never stored.
                var gates = SIMD[DType.float32, SUM_ROWS](0)
                var token = group + beside
                var j = 0
                comptime for slot in range(SUM_ROWS):
                    gates[slot] = a.gates[unsafe_offset=min(token, all - 1) * k + min(choice + j, k - 1)]
                    j += 1
                    if j == s.choices:
                        j = 0
                        token += s.abreast
                block.sum_full()[unsafe_offset=ring.stage].wait(ring.parity)
                var from_ = block.summands(ring.stage).unsafe_offset(thread * 16).unsafe_bitcast[Scalar[dtype]]()
                var y = StaticTuple[SIMD[dtype, width], SUM_ROWS]()
                comptime for slot in range(SUM_ROWS):
                    y[slot] = from_.unsafe_offset(slot * (slot_bytes // size_of[dtype]())).unsafe_load[
                        width=width, alignment=16
                    ]()
                syncwarp()
                if thread % 32 == 0:
                    _ = block.sum_empty()[unsafe_offset=ring.stage].arrive()
                ring.advance[SUM_STAGES]()
                token = group + beside
                j = 0
                comptime for slot in range(SUM_ROWS):
                    if choice == 0 and j == 0:
                        sum = SIMD[DType.float32, width](0)
                    sum += gates[slot] * y[slot].cast[DType.float32]()
                    if j == last and choice + j == k - 1 and here and token < all:
                        var to = a.outputs.unsafe_offset(token * d + column)
                        if whole:
                            to.unsafe_store[alignment=16](sum.cast[dtype]())
                        else:
                            comptime for c in range(width):
                                if column + c < d:
                                    to[unsafe_offset=c] = sum[c].cast[dtype]()
                    j += 1
                    if j == s.choices:
                        j = 0
                        token += s.abreast
