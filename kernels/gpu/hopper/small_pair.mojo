"""The second matmul of the kernel for small layers where two blocks are a pair: a cluster of two slices of one expert.

By itself a block would multiply its hidden rows by all its rows of second weights, and write a part of every output. Of a
pair, each block sends its hidden rows to the other, into stages that the first matmul has done with, and makes half of the
outputs' features from both: half as many parts pass through the L2 cache, whose stores they were the most of.

Parts lie in another order than features: the 64 of a warpgroup side by side, of which a thread has two neighbours of four.
"""

from std.memory import bitcast
from std.utils.static_tuple import StaticTuple
from max.gpu import lane_id
from max.gpu.compute.mma import (
    WGMMADescriptor,
    wgmma_async,
    wgmma_commit_group_sync,
    wgmma_fence_aligned,
    wgmma_wait_group_sync,
)
from max.gpu.host.nvidia.tma import TensorMapSwizzle
from max.gpu.sync import syncwarp
from layout import Coord, TileTensor, row_major
from layout.tma_async import SharedMemBarrier, TMATensorTile

from hopper.layer import Layer
from hopper.ptx import (
    arrive_in_block,
    broadcast,
    in_block,
    opaque_zero,
    send_bulk,
    store_word_if_below,
    wait_barrier,
    wait_cluster,
)
from hopper.schedule import weight_boxes
from hopper.shape import GROUP_ROWS, ROW_BYTES
from hopper.small_parts import parts_of
from hopper.small_shape import (
    HALF_BARRIER,
    HIDDEN_BARRIER,
    Part,
    RANGE,
    SLAB_BYTES,
    SmallBlock,
    SmallShape,
    THREADS,
    WIDTHS,
)
from hopper.stamp import stamp

comptime FIRST_STAGES = 4
"""Barriers of stages of the first matmul, which those of the second follow."""


@inline(.always)
def place_of[gated: Bool](box: Int, n: Int) -> Int:
    """Where a box of the second matmul lies, in bytes: two to a stage, but the third and the fourth stage hold the other block's
    hidden rows. Of eight boxes the seventh has room behind those, unless there are more than 80; else, as the eighth, it
    waits for the place of the first two.
    """
    if box < 2:
        return (8 + box) * SLAB_BYTES
    if gated or box < 6:
        return (box - 2) * SLAB_BYTES
    if box == 6 and n <= 80:
        return 4 * SLAB_BYTES + 4 * n * 128
    return (2 + box) * SLAB_BYTES


@inline(.always)
def fetch_box[
    dtype: DType, shape: SmallShape, ts: Coord, ds: Coord, //, gated: Bool
](
    a: Layer[dtype],
    block: SmallBlock[dtype, shape],
    part: Part,
    second_map: TMATensorTile[dtype, ts, ds],
    bar: Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED],
    box: Int,
    n: Int,
):
    """64 of K of the second matmul: the first half of the boxes goes with the block's own hidden rows, the other with those
    it is sent."""
    comptime half = shape.second_stages(gated)
    var slice = part.slice if box < half else part.slice ^ 1
    var own = slice * (shape.groups * GROUP_ROWS // (2 if gated else 1)) // 64 + (box if box < half else box - half)
    var boxes = weight_boxes[dtype](a.k1)
    var group = part.expert * Int(a.d_stride) // GROUP_ROWS + part.slice % 2
    # Where there are no weights, rows before the first are zero.
    var row = (group * boxes + own if own < boxes else -1) * GROUP_ROWS
    var to = TileTensor(
        block.base.unsafe_offset(place_of[gated](box, n)).unsafe_bitcast[Scalar[dtype]](),
        row_major[GROUP_ROWS, ROW_BYTES // 2](),
    )
    second_map.async_copy(to, bar[], (0, row))


@inline(.always)
def fetch_stage[
    dtype: DType, shape: SmallShape, ts: Coord, ds: Coord, //, gated: Bool
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, second_map: TMATensorTile[dtype, ts, ds], stage: Int,):
    """Two boxes of the second matmul."""
    var bar = block.full().unsafe_offset(FIRST_STAGES + stage)
    bar[].expect_bytes(Int32(2 * SLAB_BYTES))
    comptime for i in range(2):
        fetch_box[gated](a, block, part, second_map, bar, 2 * stage + i, RANGE)


@inline(.always)
def serve_pair[
    dtype: DType, shape: SmallShape, ts: Coord, ds: Coord, //, gated: Bool
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, second_map: TMATensorTile[dtype, ts, ds], thread: Int,):
    """The warp that fetches, once rows are counted: the other stages of the second matmul, and hidden rows to the other block.
    """
    wait_cluster()
    var rows = 0
    var counts = block.counts().unsafe_load[width=8, alignment=16]()
    comptime for w in range(8):
        rows += Int(counts[w])
    if rows == 0:
        return
    comptime slabs = shape.second_stages(gated)
    if thread == 0:
        for slab in range(slabs):
            block.landed()[unsafe_offset=slab].expect_bytes(Int32(rows * 128))
        for stage in range(1, min(3, slabs)):
            block.empty()[unsafe_offset=stage - 1].wait(0)
            fetch_stage[gated](a, block, part, second_map, stage)
    var width = RANGE
    comptime for i in range(len(WIDTHS)):
        comptime n = WIDTHS[i]
        comptime below = 0 if i == 0 else WIDTHS[i - 1]
        if rows > below and rows <= n:
            width = n
    var early = min(rows, width // 2)
    var rank = UInt32(part.slice % 2) ^ 1

    @inline(.always)
    @__parameter
    def send(first: Int, count: Int):
        for slab in range(slabs):
            send_bulk(
                in_block(UInt32(Int(block.received(slab, width).unsafe_offset(first * 128))), rank),
                block.rows(slab).unsafe_offset(first * 128),
                UInt32(count * 128),
                in_block(UInt32(Int(block.landed().unsafe_offset(slab))), rank),
            )

    syncwarp()
    wait_barrier[HALF_BARRIER](THREADS)
    var seventh = block.full().unsafe_offset(FIRST_STAGES + 3)
    if thread == 0:
        block.ready()[].wait(0)
        send(0, early)
        comptime if slabs == 4:
            if width <= 80:
                seventh[].expect_bytes(Int32(SLAB_BYTES))
                fetch_box[gated](a, block, part, second_map, seventh, 6, width)
    syncwarp()
    wait_barrier[HIDDEN_BARRIER](THREADS)
    if thread == 0:
        if rows > early:
            send(early, rows - early)
        comptime if slabs == 4:
            block.empty()[unsafe_offset=FIRST_STAGES].wait(0)
            if width > 80:
                seventh[].expect_bytes(Int32(SLAB_BYTES))
                fetch_box[gated](a, block, part, second_map, seventh, 6, width)
            block.late()[].expect_bytes(Int32(SLAB_BYTES))
            fetch_box[gated](a, block, part, second_map, block.late(), 7, width)


@inline(.always)
def tell_ready[dtype: DType, shape: SmallShape](block: SmallBlock[dtype, shape], part: Part, thread: Int):
    """The first matmul has done with its stages: the other block may send."""
    if thread == 0:
        arrive_in_block(in_block(UInt32(Int(block.ready())), UInt32(part.slice % 2) ^ 1))


@inline(.always)
def second_of_pair[
    dtype: DType, shape: SmallShape, //, gated: Bool, n: Int
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, thread: Int, rows: Int):
    """The pair's part of half of the outputs of each row, [pairs of slices, T k, d_stride]."""
    comptime descriptor = WGMMADescriptor[dtype].create[64, 1, TensorMapSwizzle.SWIZZLE_128B]
    comptime half = shape.second_stages(gated)
    var warpgroup = thread // 128
    # Two sums in turn: a product waits for the one before it in the same sum.
    var even = StaticTuple[Float32, n // 2]()
    var odd = StaticTuple[Float32, n // 2]()
    var uniform = Int(broadcast(Int32(warpgroup), 0))
    var a_64 = descriptor(block.weights(0).unsafe_offset(uniform * (64 * 64))) + opaque_zero()
    var own = descriptor(block.rows(0).unsafe_bitcast[Scalar[dtype]]()) + opaque_zero()
    var other = descriptor(block.received(0, n).unsafe_bitcast[Scalar[dtype]]()) + opaque_zero()
    comptime for box in range(2 * half):
        comptime slab = box if box < half else box - half
        comptime if box == 7:
            block.late()[].wait(0)
        elif box % 2 == 0:
            block.full()[unsafe_offset=FIRST_STAGES + box // 2].wait(0)
        comptime if box >= half:
            block.landed()[unsafe_offset=slab].wait(0)
        wgmma_fence_aligned()
        comptime for k in range(2):
            comptime keep = 0 if box == 0 and k == 0 else 1
            comptime a_at = place_of[gated](box, n) + k * 64
            var b_n = own + (slab * SLAB_BYTES + k * 64) if box < half else other + (slab * n * 128 + k * 64)
            even = wgmma_async[64, n, 16, a_type=dtype, b_type=dtype, scale_d=keep](a_64 + a_at, b_n, even)
            odd = wgmma_async[64, n, 16, a_type=dtype, b_type=dtype, scale_d=keep](a_64 + (a_at + 32), b_n + 32, odd)
        wgmma_commit_group_sync()
        comptime if box == 2 and half == 4:
            wgmma_wait_group_sync[1]()
            if thread % 128 == 0:
                # The place of the first two is the last's.
                _ = block.empty()[unsafe_offset=FIRST_STAGES].arrive()
        comptime if box == half - 1:
            stamp[10](a.sync, thread)
        comptime if box == half:
            stamp[11](a.sync, thread)
    wgmma_wait_group_sync[0]()
    stamp[7](a.sync, thread)
    comptime for i in range(n // 2):
        even[i] = even[i] + odd[i]
    var lane = Int(lane_id())
    var warp = thread % 128 // 32
    var rank = part.slice % 2
    if Int(a.b2) != 0 and part.slice < 2:
        var feature = rank * GROUP_ROWS + warp * 32 + lane // 4 * 4 + 2 * warpgroup
        var bias = a.b2.unsafe_offset(part.expert * Int(a.d_stride) + feature).unsafe_load[width=2, alignment=8]()
        comptime for i in range(n // 2):
            even[i] = even[i] + bias[i // 2 % 2]
    var place = rank * GROUP_ROWS + warpgroup * 64 + warp * 16 + lane // 4 * 2
    var token = lane % 4 * 2
    var first = (part.slice // 2 * Int(a.n_tokens) + part.first) * Int(a.top_k)
    var to = parts_of(a, block).unsafe_offset(first * Int(a.d_stride) + place)
    var places = StaticTuple[SIMD[DType.int32, 2], n // 8]()
    comptime for j in range(n // 8):
        places[j] = block.places().unsafe_offset(token + j * 8).unsafe_load[width=2, alignment=8]()
    comptime for j in range(n // 8):
        comptime for side in range(2):
            var v = SIMD[DType.float32, 2](even[j * 4 + side], even[j * 4 + 2 + side])
            store_word_if_below(
                to.unsafe_offset(Int(UInt32(places[j][side]))).unsafe_bitcast[UInt32](),
                bitcast[DType.uint32, 1](v.cast[dtype]()),
                Int32(token + j * 8 + side),
                Int32(rows),
            )
