"""A consumer warpgroup: 128 weight rows times the tile's tokens on the tensor cores, then the epilogue.

Weights are the M side and tokens the N side of `wgmma`: N may be any multiple of 8, so a ragged group wastes at most 15
columns instead of most of a 128-row tile.

Weight rows are stored so that the four rows a thread holds for one token (lane / 4 plus 0, 8, 64, 72) are neighbouring
features: outputs leave the registers in 8-byte (float32: 16-byte) pieces, whole 32-byte sectors a warp, through no shared
memory.
"""

from std.memory import bitcast
from std.sys import size_of
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim, lane_id
from max.gpu.compute.mma import (
    WGMMADescriptor,
    wgmma_async,
    wgmma_commit_group_sync,
    wgmma_fence_aligned,
    wgmma_wait_group_sync,
)
from max.gpu.host.nvidia.tma import TensorMapSwizzle
from max.gpu.memory import fence_async_view_proxy

from hopper.activation import activate
from hopper.few_words import store_words
from hopper.layer import GELU_ERF, Layer, RELU, SIGMOID_FORM
from hopper.memory import Global, U32P
from hopper.producer import Ring, finished_of
from hopper.ptx import (
    add_release,
    fence_async_global,
    next_address,
    opaque_zero,
    store_if_above,
    wait_barrier,
)
from hopper.schedule import (
    FIRST,
    ROUTER,
    SECOND,
    Tile,
    Turn,
    count_tiles,
    divide,
    first_finished_slot,
    is_width,
    k_blocks,
    split_range,
    splits_of,
    tokens_per_tile,
)
from hopper.shape import Block, GROUP_ROWS, ROW_BYTES, Shape
from hopper.tf32 import rounded_to_tf32

comptime WARPGROUP_BARRIER = 4
"""Named barriers 4, 5: the threads of one consumer warpgroup."""


@inline(.always)
def out_type[dtype: DType, shape: Shape]() -> DType:
    """How expert outputs are stored: float32 in narrow tiles, where the traffic is small, and for split K."""
    return DType.float32 if shape.max_tokens <= 32 else dtype


@inline(.always)
def most_tokens[dtype: DType, shape: Shape]() -> Int:
    """Most tokens a tile takes: float32 keeps two sums of each product in registers."""
    return min(shape.max_tokens, 80) if dtype == DType.float32 else shape.max_tokens


@inline(.always)
def multiply[
    dtype: DType, shape: Shape, //, n: Int
](
    block: Block[dtype, shape],
    warpgroup: Int,
    thread: Int,
    stages: Int,
    mut ring: Ring,
    mut low: StaticTuple[Float32, n // 2],
    mut high: StaticTuple[Float32, n // 2],
):
    """Adds up the products of `stages` >= 1 stages: rows 0-63 in `low`, rows 64-127 in `high`.

    One group of products stays in flight while the next stage is awaited. Float32 takes each stage by itself and adds
    it up with ordinary additions: the tensor cores cut off what does not fit beside a long sum, which left 15.8 of the 16
    bits that float32 owes at K of 1024.
    """
    comptime columns = ROW_BYTES // size_of[dtype]()
    comptime descriptor = WGMMADescriptor[dtype].create[64, 1, TensorMapSwizzle.SWIZZLE_128B]
    comptime step = 32 // size_of[dtype]()

    @inline(.always)
    @__parameter
    def stage_product[first: Bool](mut low: StaticTuple[Float32, n // 2], mut high: StaticTuple[Float32, n // 2]):
        block.full()[unsafe_offset=ring.stage()].wait(ring.parity)
        comptime if shape.gathers:
            # Token rows came through the generic proxy; wgmma reads through the asynchronous one.
            fence_async_view_proxy()
        var at = opaque_zero()
        var a = block.weights(ring.stage()).unsafe_offset(warpgroup * GROUP_ROWS * columns + at)
        var a_low = descriptor(a)
        var a_high = descriptor(a.unsafe_offset(64 * columns))
        var b = descriptor(block.tokens(ring.stage()).unsafe_offset(at))
        wgmma_fence_aligned()
        comptime for k in range(ROW_BYTES // 32):
            comptime keep = 0 if first and k == 0 else 1
            low = wgmma_async[64, n, step, a_type=dtype, b_type=dtype, scale_d=keep](a_low + k * 32, b + k * 32, low)
            high = wgmma_async[64, n, step, a_type=dtype, b_type=dtype, scale_d=keep](a_high + k * 32, b + k * 32, high)
        wgmma_commit_group_sync()

    comptime if dtype == DType.float32:
        comptime for i in range(n // 2):
            low[i] = 0
            high[i] = 0
        for _ in range(stages):
            var stage_low = StaticTuple[Float32, n // 2]()
            var stage_high = StaticTuple[Float32, n // 2]()
            stage_product[True](stage_low, stage_high)
            wgmma_wait_group_sync[0]()
            if thread == 0:
                _ = block.empty()[unsafe_offset=ring.stage()].arrive()
            ring.advance[shape.stages]()
            comptime for i in range(n // 2):
                low[i] += stage_low[i]
                high[i] += stage_high[i]
        return
    stage_product[True](low, high)
    var previous = ring.stage()
    ring.advance[shape.stages]()
    # 32 bits: it lives beside the sums.
    var left = Int32(stages) - 1
    while left > 0:
        left -= 1
        stage_product[False](low, high)
        wgmma_wait_group_sync[1]()
        if thread == 0:
            _ = block.empty()[unsafe_offset=previous].arrive()
        previous = ring.stage()
        ring.advance[shape.stages]()
    wgmma_wait_group_sync[0]()
    if thread == 0:
        _ = block.empty()[unsafe_offset=previous].arrive()


@inline(.always)
def skip_stages[dtype: DType, shape: Shape](block: Block[dtype, shape], thread: Int, stages: Int, mut ring: Ring):
    """A warpgroup without rows in this tile: releases its share of the stages."""
    for _ in range(stages):
        block.full()[unsafe_offset=ring.stage()].wait(ring.parity)
        if thread == 0:
            _ = block.empty()[unsafe_offset=ring.stage()].arrive()
        ring.advance[shape.stages]()


@inline(.always)
def hidden_of[
    dtype: DType, //, gated: Bool, kind: Int
](a: Layer[dtype], v: SIMD[DType.float32, 4], bias: SIMD[DType.float32, 4]) -> SIMD[DType.float32, 2 if gated else 4]:
    """The hidden features of a token that a thread's products are; see `store_hidden`."""
    var h = SIMD[DType.float32, 2 if gated else 4](0)
    comptime for i in range(2 if gated else 4):
        comptime if gated:
            h[i] = activate[kind](v[2 * i + 1], a.c0, a.c1) * (v[2 * i] + bias[2 * i])
        else:
            h[i] = activate[kind](v[i] + bias[i], a.c0, a.c1)
    return h


@fieldwise_init
struct Addresses(TrivialRegisterPassable):
    """Where a thread's next two neighbouring tokens go: `even` and `odd`, then those eight rows on."""

    var even: UInt64
    var odd: UInt64
    var step: UInt64
    """Bytes from one row to the next."""

    @staticmethod
    @inline(.always)
    def of(first: Int, step: Int) -> Self:
        """The first two."""
        return Self(UInt64(first), next_address(UInt64(first), UInt64(step)), UInt64(step))

    @inline(.always)
    def advance(mut self):
        """Goes to the next two."""
        self.even = next_address(self.even, 8 * self.step)
        self.odd = next_address(self.odd, 8 * self.step)


@inline(.always)
def store_hidden[
    dtype: DType, //, gated: Bool, kind: Int, i: Int
](a: Layer[dtype], to: UInt64, v: SIMD[DType.float32, 4], bias: SIMD[DType.float32, 4], end: Int32):
    """Stores the hidden features of one token that this thread holds, where end > i.

    Args:
        a: The layer.
        to: The address of the first of them.
        v: Products of rows (0, 8, 64, 72); gated: (up, gate) of two features.
        bias: Beside them; gated: of `up` alone, in lanes 0 and 2.
        end: See above.
    """
    comptime width = 2 if gated else 4
    var h = hidden_of[gated, kind](a, v, bias)
    comptime if dtype == DType.float32:
        # Kept as [high | low] like every float32 operand of a product: see schedule.columns_of_stage.
        var high = rounded_to_tf32(h)
        store_if_above[width, i](to, high, end)
        store_if_above[width, i](to + UInt64(4 * Int(a.k1)), rounded_to_tf32(h - high), end)
    else:
        store_if_above[width, i](to, h.cast[dtype](), end)


@inline(.always)
def store_hidden_words[
    dtype: DType, gated: Bool, kind: Int
](a: Layer[dtype], to: U32P, v: SIMD[DType.float32, 4], bias: SIMD[DType.float32, 4], number: UInt32):
    """The same of few tokens, as words that tell when they are there (few_words.mojo)."""
    comptime width = 2 if gated else 4
    var h = hidden_of[gated, kind](a, v, bias)
    comptime if dtype == DType.float32:
        var high = rounded_to_tf32(h)
        var low = rounded_to_tf32(h - high)
        store_words[width](to, bitcast[DType.uint32, width](high), number)
        store_words[width](to.unsafe_offset(2 * Int(a.k1)), bitcast[DType.uint32, width](low), number)
    else:
        store_words[width // 2](to, bitcast[DType.uint32, width // 2](h.cast[dtype]()), number)


@inline(.always)
def consume_tile[
    dtype: DType, shape: Shape, //, gated: Bool, matmul: Int, n: Int
](
    a: Layer[dtype],
    block: Block[dtype, shape],
    found: Tile,
    turn: Turn,
    before: Int,
    warpgroup: Int,
    thread: Int,
    stages: Int,
    mut ring: Ring,
):
    """One tile of at most `n` tokens: products, then activation and store."""
    var low = StaticTuple[Float32, n // 2]()
    var high = StaticTuple[Float32, n // 2]()
    multiply[n](block, warpgroup, thread, stages, ring, low, high)
    # Read again where it is told: registers are for the sums.
    var tile = found
    comptime if not shape.gathers and matmul != ROUTER:
        tile = turn.tile[matmul](a, block, before)

    @inline(.always)
    @__parameter
    def four[j: Int, side: Int]() -> SIMD[DType.float32, 4]:
        """The thread's four rows of token 8 j + side."""
        return SIMD[DType.float32, 4](
            low[j * 4 + side], low[j * 4 + 2 + side], high[j * 4 + side], high[j * 4 + 2 + side]
        )

    var lane = Int(lane_id())
    var warp = thread // 32
    var group_row = tile.weight_row + warpgroup * GROUP_ROWS
    comptime paired = gated and matmul == FIRST
    comptime per_lane = 2 if paired else 4
    var feature = warp * (8 * per_lane) + lane // 4 * per_lane
    var bias = SIMD[DType.float32, 4](0)
    comptime if matmul == FIRST:
        if Int(a.b1) != 0:
            var width = Int(a.rows1) // (2 if gated else 1)
            var from_ = a.b1.unsafe_offset(tile.expert * width + group_row // (2 if gated else 1) + feature)
            comptime if gated:
                bias = SIMD[DType.float32, 4](from_[unsafe_offset=0], 0, from_[unsafe_offset=1], 0)
            else:
                bias = from_.unsafe_load[width=4, alignment=16]()
    comptime if matmul == SECOND:
        if Int(a.b2) != 0 and tile.split == 0:
            bias = a.b2.unsafe_offset(tile.expert * Int(a.d_stride) + group_row + feature).unsafe_load[
                width=4, alignment=16
            ]()
    # The thread's first token; its others are 8 columns apart, in neighbouring pairs.
    var column = lane % 4 * 2
    var row = tile.row + column
    # A column is a token where it is below.
    var end = Int32(tile.n_tokens - column)
    comptime if matmul == FIRST:
        var first = row * Int(a.hidden_stride) + group_row // (2 if gated else 1) + feature
        comptime per_word = 4 // size_of[dtype]()
        var words = a.hidden.unsafe_bitcast[UInt32]().unsafe_offset(first // per_word * 2)
        var number = UInt32(0)
        comptime if shape.few():
            number = block.launch()[unsafe_offset=0]

        @inline(.always)
        @__parameter
        def store[kind: Int]():
            comptime if shape.few():
                comptime for side in range(2):
                    if Int32(side) < end:
                        var to = words.unsafe_offset(side * Int(a.hidden_stride) // per_word * 2)
                        store_hidden_words[dtype, gated, kind](a, to, four[0, side](), bias, number)
            else:
                var at = Addresses.of(Int(a.hidden.unsafe_offset(first)), Int(a.hidden_stride) * size_of[dtype]())
                comptime for j in range(n // 8):
                    store_hidden[gated, kind, 8 * j](a, at.even, four[j, 0](), bias, end)
                    store_hidden[gated, kind, 8 * j + 1](a, at.odd, four[j, 1](), bias, end)
                    at.advance()

        # Branch here, not at each value: the unrolled code of the other kinds would pass through the instruction cache.
        if a.activation == RELU:
            store[RELU]()
        elif a.activation == GELU_ERF:
            store[GELU_ERF]()
        else:
            store[SIGMOID_FORM]()
    elif matmul == SECOND:
        comptime kind = out_type[dtype, shape]()
        var first = (tile.split * Int(a.n_tokens) * Int(a.top_k) + row) * Int(a.d_stride) + group_row + feature
        comptime if shape.few():
            comptime for side in range(2):
                if Int32(side) < end:
                    store_words[4](
                        a.expert_out.unsafe_bitcast[UInt32]().unsafe_offset((first + side * Int(a.d_stride)) * 2),
                        bitcast[DType.uint32, 4](four[0, side]() + bias),
                        block.launch()[unsafe_offset=0],
                    )
        else:
            comptime item = size_of[kind]()
            var at = Addresses.of(Int(a.expert_out.unsafe_offset(first * item)), Int(a.d_stride) * item)
            comptime for j in range(n // 8):
                store_if_above[4, 8 * j](at.even, (four[j, 0]() + bias).cast[kind](), end)
                store_if_above[4, 8 * j + 1](at.odd, (four[j, 1]() + bias).cast[kind](), end)
                at.advance()
    else:
        var first = (tile.split * Int(a.n_tokens) + row) * Int(a.logits_stride) + group_row + feature
        var at = Addresses.of(Int(a.logits.unsafe_offset(first)), Int(a.logits_stride) * 4)
        comptime for j in range(n // 8):
            store_if_above[4, 8 * j](at.even, four[j, 0](), end)
            store_if_above[4, 8 * j + 1](at.odd, four[j, 1](), end)
            at.advance()


@inline(.always)
def consume_matmul[
    dtype: DType, shape: Shape, //, gated: Bool, matmul: Int
](a: Layer[dtype], block: Block[dtype, shape], thread: Int, mut ring: Ring, mut turn: Turn, before: Int):
    """All this block's tiles of a matmul. `thread` counts over all consumers; `before` tiles come earlier."""
    var warpgroup = thread // 128
    var own = thread % 128
    var k = a.k1 if matmul == SECOND else a.k0
    var rows = Int(a.logits_stride) if matmul == ROUTER else (Int(a.rows1) if matmul == FIRST else Int(a.d_stride))
    var splits = splits_of[matmul](a)
    var end = before + count_tiles[matmul](a, block)
    while turn.index < end:
        var tile = turn.tile[matmul](a, block, before)
        var part = split_range(k_blocks[dtype](k), splits, tile.split)
        var stages = part[1] - part[0]
        if Int32(tile.weight_row) + Int32(warpgroup * GROUP_ROWS) >= Int32(rows):
            skip_stages(block, own, stages, ring)
        else:
            # One instance of the loop for each width of `wgmma`, the widest first: it has the most to wait for.
            comptime most = most_tokens[dtype, shape]() // 8
            comptime for i in range(most):
                comptime w = most - i
                comptime if is_width(w * 8):
                    comptime below = w * 8 - 8 if w == 1 or is_width(w * 8 - 8) else w * 8 - 16
                    # Looked at anew each time: what it is compared with would be made ahead, and put away.
                    var tokens = Int32(tile.n_tokens) + Int32(opaque_zero())
                    if tokens > Int32(below) and tokens <= Int32(w * 8):
                        consume_tile[gated, matmul, w * 8](a, block, tile, turn, before, warpgroup, own, stages, ring)
        comptime if matmul == FIRST and not shape.few():
            comptime if not shape.gathers:
                fence_async_global()
            # The barrier gathers the warpgroup's stores under the one release that publishes them.
            if warpgroup == 0:
                wait_barrier[WARPGROUP_BARRIER](128)
            else:
                wait_barrier[WARPGROUP_BARRIER + 1](128)
            if own == 0:
                comptime if not shape.gathers:
                    tile = turn.tile[matmul](a, block, before)
                var per = tokens_per_tile(tile.rows_of_expert, Int(a.tokens1))
                var slot = first_finished_slot(a, block, tile.expert) + divide(tile.row_in_expert, per)
                _ = add_release(finished_of(a, block).unsafe_offset(slot), 1)
        comptime if matmul == ROUTER:
            turn.index += Int(grid_dim.x)
        else:
            turn.follow(block)
