"""The weighted sum of the experts' outputs where there are many: rows come through shared memory, in bulk.

One warp asks for the rows of the next tokens, four stages ahead; the consumers add up what has landed. Threads that loaded
rows for themselves had 32 KiB in flight only now and then, and read at a quarter of what memory gives.

A stage has SUM_ROWS slots, each as wide as 16 bytes a consumer. A slot holds one choice of `abreast` tokens side by side, a
chunk of their columns where a row is wider than a slot; where a token has at most half as many choices as there are slots,
several tokens share a stage one behind the other, a power of two slots apart. With more choices, a token takes several
stages.
"""

from std.memory import bitcast
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


@fieldwise_init
struct Seat(TrivialRegisterPassable):
    """Which row of each stage a lane asks for, and where it goes."""

    var token: UInt32
    """Of the stage's tokens; beyond them all where there is no such row."""
    var choice: UInt32
    """Of its choices in a stage."""
    var at: UInt32
    """Bytes from the beginning of a stage."""
    var gate_at: UInt32
    """Its weight's word."""

    @staticmethod
    @inline(.always)
    def of[dtype: DType, shape: Shape](s: Summing, row: UInt32) -> Self:
        """The seat of row number `row`."""
        comptime slot_bytes = UInt32(shape.consumers * 128 * 16)
        var token = row // UInt32(s.choices)
        var choice = row - token * UInt32(s.choices)
        var behind = token // UInt32(s.abreast)
        var beside = token - behind * UInt32(s.abreast)
        var slot = behind * UInt32(s.apart) + choice
        return Self(
            token if token < UInt32(s.tokens) else UInt32(1) << 31,
            choice,
            slot * slot_bytes + beside * UInt32(s.columns * size_of[dtype]()),
            beside * SUM_ROWS + slot,
        )


@fieldwise_init
struct Summand(TrivialRegisterPassable):
    """A row to be fetched: its sorted position and weight. `place` is negative where there is none."""

    var place: Int32
    var gate: Float32

    @staticmethod
    @inline(.always)
    def find[dtype: DType](a: Layer[dtype], seat: Seat, group: UInt32, choice: UInt32) -> Self:
        """The row of a seat, in the stage of the tokens from `group` on and their choices from `choice` on."""
        var found = Self(-1, 0)
        var token = group + seat.token
        if token < UInt32(a.n_tokens) and choice + seat.choice < UInt32(a.top_k):
            var pair = Int(token * UInt32(a.top_k) + choice + seat.choice)
            found = Self(a.position[unsafe_offset=pair], a.gates[unsafe_offset=pair])
        return found


@inline(.always)
def ask[
    dtype: DType, shape: Shape
](a: Layer[dtype], block: Block[dtype, shape], stage: Int, seat: Seat, row: Summand, skip: UInt32, bytes: UInt32):
    """Starts to fetch `bytes` bytes of a row, behind its first `skip`, into a stage."""
    if row.place >= 0:
        block.summand_gates(stage)[unsafe_offset=Int(seat.gate_at)] = row.gate
        copy_bulk(
            block.summands(stage).unsafe_offset(Int(seat.at)),
            a.expert_out.unsafe_offset(Int(row.place) * Int(a.d_stride) * size_of[dtype]() + Int(skip)),
            bytes,
            UInt32(Int(block.sum_full().unsafe_offset(stage))),
        )


@inline(.always)
def fetch_summands[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], lane: Int):
    """One warp: the rows that this block adds up and their weights, a lane a row, as stages become free.

    Where the next stage's rows lie is asked for before this one's are: to wait for that took 900 of the 3,100 cycles that the warp
    spent on a token of eight choices, and divisions as many; memory needs 1,900 for it.
    """
    comptime item = UInt32(size_of[dtype]())
    # 32-bit numbers: the producers have 40 registers each.
    var s = Summing.of[dtype, shape](a)
    var columns = UInt32(s.columns)
    var tokens = UInt32(s.tokens)
    var most = UInt32(s.choices)
    var k = UInt32(a.top_k)
    var all = UInt32(a.n_tokens)
    var stride = UInt32(a.d_stride)
    var seat = Seat.of[dtype, shape](s, UInt32(lane))
    var ring = Ring(0, 1)
    # The rows were written by ordinary stores.
    fence_async_global()
    var group = UInt32(block_idx.x) * tokens
    var column = UInt32(0)
    var choice = UInt32(0)
    var found = Summand.find(a, seat, group, choice)
    while group < all:
        var bytes = min(columns, stride - column) * item
        var rows = min(tokens, all - group) * min(most, k - choice)
        var here_group = group
        var here_column = column
        var here_choice = choice
        choice += most
        if choice >= k:
            choice = 0
            column += columns
            if column >= stride:
                column = 0
                group += UInt32(grid_dim.x) * tokens
        # On its way while this stage is waited for and its rows are asked for.
        var next = Summand.find(a, seat, group, choice)
        block.sum_empty()[unsafe_offset=ring.stage()].wait(ring.parity)
        ask[dtype, shape](a, block, ring.stage(), seat, found, here_column * item, bytes)
        # Of narrow rows a stage has more than there are lanes.
        var row = UInt32(lane) + 32
        while row < tokens * most:
            var other = Seat.of[dtype, shape](s, row)
            var its = Summand.find(a, other, here_group, here_choice)
            ask[dtype, shape](a, block, ring.stage(), other, its, here_column * item, bytes)
            row += 32
        syncwarp()
        # Last, so that who waits for the rows sees the weights; what has landed by then counts all the same.
        if lane == 0:
            block.sum_full()[unsafe_offset=ring.stage()].expect_bytes(Int32(rows * bytes))
        ring.advance[SUM_STAGES]()
        found = next


@inline(.always)
def sum_summands[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int):
    """The consumers: each 16 bytes of a row's columns, for all tokens of a stage, choices in their order."""
    var s = Summing.of[dtype, shape](a)
    comptime for log in range(LOG_SUM_ROWS + 1):
        if s.apart == 1 << log:
            sum_stages[1 << log](a, block, s, thread)


@inline(.always)
def widened[dtype: DType, //, n: Int](v: SIMD[dtype, n]) -> SIMD[DType.float32, n]:
    """Numbers in float32. Of two bfloat16 in a word each takes one instruction, not three for two."""
    comptime if dtype == DType.bfloat16:
        var words = bitcast[DType.uint32, n // 2](v)
        var wide = SIMD[DType.float32, n](0)
        comptime for i in range(n // 2):
            wide[2 * i] = bitcast[DType.float32, 1](words[i] << 16)
            wide[2 * i + 1] = bitcast[DType.float32, 1](words[i] & 0xFFFF0000)
        return wide
    else:
        return v.cast[DType.float32]()


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
    var k = Int32(a.top_k)
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
            var left = k
            while left > 0:
                block.sum_full()[unsafe_offset=ring.stage()].wait(ring.parity)
                var from_ = block.summands(ring.stage()).unsafe_offset(thread * 16).unsafe_bitcast[Scalar[dtype]]()
                var gates = (
                    block.summand_gates(ring.stage())
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
                    _ = block.sum_empty()[unsafe_offset=ring.stage()].arrive()
                ring.advance[SUM_STAGES]()
                comptime for slot in range(SUM_ROWS):
                    # There may be fewer choices than slots. Sums of tokens beyond the last are never stored.
                    if slot % apart == 0 or Int32(slot % apart) < left:
                        sums[slot // apart] = widened[width](y[slot]).fma(
                            SIMD[DType.float32, width](gates[slot]), sums[slot // apart]
                        )
                left -= Int32(s.choices)
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
