"""The weighted sum of the experts' outputs where there are many: rows come through shared memory, in bulk.

One warp asks for the rows of the next tokens, four stages ahead; the consumers add up what has landed. Threads that loaded
rows for themselves had 32 KiB in flight only now and then, and read at a quarter of what memory gives.

A stage has SUM_ROWS slots, each as wide as 16 bytes a consumer. A slot holds one choice of `abreast` tokens side by side, a
chunk of their columns where a row is wider than a slot; where a token has at most half as many choices as there are slots,
several tokens share a stage one behind the other, a power of two slots apart. With more choices, a token takes several
stages.
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

comptime LOG_SUM_ROWS = 3
"""SUM_ROWS is 2 to the power of this."""


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
    var apart: Int
    """Slots from one token of a stage to the next behind it: a power of two, so that the sum is compiled for each."""
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
        var apart = 1
        while apart < choices:
            apart *= 2
        return Self(columns, ceildiv(stride, slot), abreast, choices, apart, abreast * divide(SUM_ROWS, apart))


@inline(.always)
def fetch_summands[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], lane: Int):
    """One warp: the rows that this block adds up and their weights, a lane a row, as stages become free."""
    comptime item = UInt32(size_of[dtype]())
    comptime slot_bytes = UInt32(shape.consumers * 128 * 16)
    # 32-bit numbers: the producers have 40 registers each.
    var s = Summing.of[dtype, shape](a)
    var columns = UInt32(s.columns)
    var abreast = UInt32(s.abreast)
    var most = UInt32(s.choices)
    var apart = UInt32(s.apart)
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
                var pair = Int((group + token) * k + choice + row - token * choices)
                var place = Int32(0)
                var gate = Float32(0)
                if row < rows:
                    # On their way while the warp waits for the stage.
                    place = a.position[unsafe_offset=pair]
                    gate = a.gates[unsafe_offset=pair]
                block.sum_empty()[unsafe_offset=ring.stage].wait(ring.parity)
                while row < rows:
                    var behind = token // abreast
                    var slot = behind * apart + row - token * choices
                    var beside = token - behind * abreast
                    block.summand_gates(ring.stage)[unsafe_offset=Int(beside * SUM_ROWS + slot)] = gate
                    copy_bulk(
                        block.summands(ring.stage).unsafe_offset(Int(slot * slot_bytes + beside * columns * item)),
                        a.expert_out.unsafe_offset((Int(place) * Int(stride) + Int(column)) * Int(item)),
                        bytes,
                        UInt32(Int(block.sum_full().unsafe_offset(ring.stage))),
                    )
                    row += 32
                    if row < rows:
                        token = row // choices
                        pair = Int((group + token) * k + choice + row - token * choices)
                        place = a.position[unsafe_offset=pair]
                        gate = a.gates[unsafe_offset=pair]
                syncwarp()
                # Last, so that who waits for the rows sees the weights; what has landed by then counts all the same.
                if lane == 0:
                    block.sum_full()[unsafe_offset=ring.stage].expect_bytes(Int32(rows * bytes))
                ring.advance[SUM_STAGES]()
                choice += most
            column += columns
        group += UInt32(grid_dim.x) * UInt32(s.tokens)


@inline(.always)
def sum_summands[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int):
    """The consumers: each 16 bytes of a row's columns, for all tokens of a stage, choices in their order."""
    var s = Summing.of[dtype, shape](a)
    comptime for log in range(LOG_SUM_ROWS + 1):
        if s.apart == 1 << log:
            sum_stages[1 << log](a, block, s, thread)


@inline(.always)
def sum_stages[
    dtype: DType, shape: Shape, //, apart: Int
](a: Layer[dtype], block: Block[dtype, shape], s: Summing, thread: Int):
    """As `sum_summands`, where tokens are `apart` slots one behind the other.

    It has to be short: with weights loaded from device memory and a store for each slot, in case a token ends there, a token of
    eight choices of 2048 took 4,100 cycles, and memory 2,200.
    """
    comptime width = 16 // size_of[dtype]()
    comptime slot_bytes = shape.consumers * 128 * 16
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
            var sums = StaticTuple[SIMD[DType.float32, width], SUM_ROWS // apart](SIMD[DType.float32, width](0))
            for choice in range(0, k, s.choices):
                block.sum_full()[unsafe_offset=ring.stage].wait(ring.parity)
                var from_ = block.summands(ring.stage).unsafe_offset(thread * 16).unsafe_bitcast[Scalar[dtype]]()
                var gates = (
                    block.summand_gates(ring.stage)
                    .unsafe_offset(beside * SUM_ROWS)
                    .unsafe_load[width=SUM_ROWS, alignment=32]()
                )
                var y = StaticTuple[SIMD[dtype, width], SUM_ROWS]()
                comptime for slot in range(SUM_ROWS):
                    y[slot] = from_.unsafe_offset(slot * (slot_bytes // size_of[dtype]())).unsafe_load[
                        width=width, alignment=16
                    ]()
                syncwarp()
                if thread % 32 == 0:
                    _ = block.sum_empty()[unsafe_offset=ring.stage].arrive()
                ring.advance[SUM_STAGES]()
                comptime for slot in range(SUM_ROWS):
                    # There may be fewer choices than slots. Sums of tokens beyond the last are never stored.
                    if slot % apart == 0 or choice + slot % apart < k:
                        sums[slot // apart] += gates[slot] * y[slot].cast[DType.float32]()
            comptime for i in range(SUM_ROWS // apart):
                var token = group + beside + i * s.abreast
                if here and token < all:
                    var to = a.outputs.unsafe_offset(token * d + column)
                    if whole:
                        to.unsafe_store[alignment=16](sums[i].cast[dtype]())
                    else:
                        comptime for c in range(width):
                            if column + c < d:
                                to[unsafe_offset=c] = sums[i][c].cast[dtype]()
