"""Sorting few tokens' pairs (token, choice) by expert: every block sorts all of them for itself, a thread a pair.

Within an expert, pairs keep the order of their tokens: only whole numbers are added up in any order.
"""

from std.utils.static_tuple import StaticTuple
from max.gpu import lane_id

from hopper.grid import CONSUMERS_BARRIER
from hopper.layer import Layer
from hopper.ptx import add_shared, broadcast, count_bits, match_any, or_over_warp, shift_up, wait_barrier
from hopper.schedule import divide, rows_and_tiles
from hopper.shape import Block, MAX_EXPERTS, SOME_PAIRS, Shape


@inline(.always)
def sort_few[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], lane: Int):
    """One warp, a lane a pair: pairs sorted by expert, and the table of the experts that have any."""
    comptime AT_ONCE = 4
    var k = Int(a.top_k)
    var pairs = Int(a.n_tokens) * k
    var e = block.few_ids()[unsafe_offset=lane] if lane < pairs else Int32(MAX_EXPERTS)
    var place = Int32(0)
    var before = Int32(0)
    for first in range(0, pairs, AT_ONCE):
        comptime for u in range(AT_ONCE):
            var other = broadcast(e, first + u)
            var same = other == e and first + u < lane
            place += Int32(1) if other < e or same else Int32(0)
            before += Int32(1) if same else Int32(0)
    var heads = lane < pairs and before == 0
    var bit = UInt32(1) << UInt32(place)
    # A bit for each sorted pair that begins an expert's.
    var starts = or_over_warp(bit if heads else UInt32(0))
    if lane < pairs:
        block.few_tokens()[unsafe_offset=Int(place)] = Int32(divide(lane, k))
        block.few_places()[unsafe_offset=lane] = place
    if heads:
        var number = Int(count_bits(starts & (bit - 1)))
        block.table(0)[unsafe_offset=number] = place
        block.table(1)[unsafe_offset=number] = e
    if lane == 0:
        var number = Int(count_bits(starts))
        block.table(0)[unsafe_offset=number] = Int32(pairs)
        block.table(2)[unsafe_offset=0] = Int32(number)


@inline(.always)
def clear_counts[dtype: DType, shape: Shape](block: Block[dtype, shape], thread: Int, threads: Int):
    """Nothing has been counted or placed yet."""
    for e in range(thread, MAX_EXPERTS, threads):
        block.table(0)[unsafe_offset=e] = 0
        block.placed()[unsafe_offset=e] = 0
        block.of_warps().unsafe_bitcast[UInt32]()[unsafe_offset=e] = 0


@inline(.always)
def sort_some[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """Sorts the pairs in the window, which are counted in table 0. Places and tokens stay in the window."""
    wait_barrier[CONSUMERS_BARRIER](threads)
    add_up_tables(a, block, thread)
    wait_barrier[CONSUMERS_BARRIER](threads)
    place_some(a, block, thread, threads)


@inline(.always)
def add_up_tables[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int):
    """As `fill_tables`, by all consumers: two experts a thread."""
    comptime warps = shape.consumers * 4
    var experts = Int(a.n_experts)
    var lane = Int(lane_id())
    var warp = thread // 32
    var e = 2 * thread
    var own = StaticTuple[SIMD[DType.int32, 4], 2]()
    comptime for i in range(2):
        var rows = Int(block.table(0)[unsafe_offset=e + i]) if e + i < experts else 0
        own[i] = rows_and_tiles[dtype, shape](a, rows)
    var sums = own[0] + own[1]
    comptime for s in range(5):
        # Three shuffles on their way together.
        var below = SIMD[DType.int32, 4](
            shift_up(sums[0], 1 << s), shift_up(sums[1], 1 << s), shift_up(sums[2], 1 << s), 0
        )
        sums += below if lane >= (1 << s) else SIMD[DType.int32, 4](0)
    if lane == 31:
        block.totals().unsafe_offset(4 * warp).unsafe_store[alignment=16](sums)
    wait_barrier[CONSUMERS_BARRIER](warps * 32)
    var before = sums - own[0] - own[1]
    var all = SIMD[DType.int32, 4](0)
    comptime for w in range(warps):
        var total = block.totals().unsafe_offset(4 * w).unsafe_load[width=4, alignment=16]()
        before += total if w < warp else SIMD[DType.int32, 4](0)
        all += total
    comptime for c in range(3):
        comptime for i in range(2):
            if e + i < experts:
                block.table(c)[unsafe_offset=e + i] = before[c] + (own[0][c] if i == 1 else Int32(0))
        if thread == 0:
            block.table(c)[unsafe_offset=experts] = all[c]


@inline(.always)
def place_some[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """From the experts of pairs in the window to their places and tokens: a thread a pair, behind the pairs of turns, warps
    and lanes before its own."""
    var k = Int(a.top_k)
    var pairs = Int(a.n_tokens) * k
    var warp = thread // 32
    var lower = (UInt32(1) << UInt32(lane_id())) - 1
    for start in range(0, pairs, threads):
        var p = start + thread
        var here = p < pairs
        var e = block.window()[unsafe_offset=p] if here else Int32(-1)
        var same = match_any(e)
        var rank = count_bits(same & lower)
        var of_warps = block.of_warps().unsafe_offset(Int(e) * 4)
        var heads = here and rank == 0
        if heads:
            of_warps[unsafe_offset=warp] = UInt8(count_bits(same))
        wait_barrier[CONSUMERS_BARRIER](threads)
        if here:
            # The sum of the bytes of the warps before: at most 3 * 32.
            var bytes = of_warps.unsafe_bitcast[UInt32]()[unsafe_offset=0] & ((UInt32(1) << UInt32(warp * 8)) - 1)
            var place = rank + Int32((bytes * 0x01010101) >> 24)
            place += block.table(0)[unsafe_offset=Int(e)] + block.placed()[unsafe_offset=Int(e)]
            block.window()[unsafe_offset=p] = place
            block.window()[unsafe_offset=SOME_PAIRS + Int(place)] = Int32(divide(p, k))
        wait_barrier[CONSUMERS_BARRIER](threads)
        if heads:
            of_warps[unsafe_offset=warp] = 0
            add_shared(block.placed().unsafe_offset(Int(e)), count_bits(same))
        wait_barrier[CONSUMERS_BARRIER](threads)
