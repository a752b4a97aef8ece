"""Sorting few tokens' pairs (token, choice) by expert: every block sorts all of them for itself, a thread a pair.

Within an expert, pairs keep the order of their tokens: only whole numbers are added up in any order.
"""

from max.gpu import lane_id

from hopper.grid import CONSUMERS_BARRIER
from hopper.layer import Layer
from hopper.ptx import add_shared, broadcast, count_bits, match_any, or_over_warp, wait_barrier
from hopper.schedule import divide
from hopper.shape import Block, MAX_EXPERTS, SOME_PAIRS, Shape
from hopper.tables import add_up_tables


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
