"""Sorting pairs (token, choice) by expert, the same way every time: only whole numbers are added up in any order.

Each block owns a run of tokens. It counts its pairs per expert (`count_pairs`); after a grid barrier every block adds up
the counts, so that each knows where its pairs go (`place_pairs`). Within an expert, pairs keep the order of their tokens.
"""

from std.sys import size_of
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim, lane_id

from hopper.grid import CONSUMERS_BARRIER
from hopper.layer import Layer, ROUTE_BY_TILES
from hopper.ptx import (
    add_over_warp,
    add_shared,
    after_all,
    broadcast,
    count_bits,
    fence_async_global,
    match_any,
    shift_up,
    wait_barrier,
)
from hopper.few_route import choose_experts
from hopper.route import PER_LANE, keys_of, load_logits
from hopper.memory import U32P
from hopper.schedule import (
    ceildiv,
    divide,
    finished_slots,
    router_tokens,
    tokens_per_tile,
    weight_tiles,
)
from hopper.shape import Block, GROUP_ROWS, MAX_EXPERTS, SOME_PAIRS, Shape, WINDOW

comptime COUNTS_AT_ONCE = 17
"""Blocks whose counts a thread loads before it adds up the first: all that it has of 132, of 128 experts."""


@fieldwise_init
struct Run(TrivialRegisterPassable):
    """The tokens [first, last) of a block, and how many blocks have any."""

    var first: Int
    var last: Int
    var blocks: Int
    var window: Int
    """Tokens whose pairs fit in the window of ids."""

    @staticmethod
    @inline(.always)
    def of[dtype: DType, shape: Shape](a: Layer[dtype]) -> Self:
        """This block's run."""
        var tokens = Int(a.n_tokens)
        var per = max(1, ceildiv(tokens, Int(grid_dim.x)))
        if routes_own[dtype, shape](a):
            per = tokens_per_tile(tokens, router_tokens(a))
        var first = min(tokens, Int(block_idx.x) * per)
        return Run(first, min(tokens, first + per), ceildiv(tokens, per), WINDOW // Int(a.top_k))


@inline(.always)
def routes_own[dtype: DType, shape: Shape](a: Layer[dtype]) -> Bool:
    """Whether a block's tile of the router has all logits of its run: no other block has to be waited for."""
    return (
        Int(a.route) == ROUTE_BY_TILES
        and Int(a.logits_stride) <= shape.consumers * GROUP_ROWS
        and Int(a.n_tokens) <= Int(a.tokens1) * Int(grid_dim.x)
    )


@inline(.always)
def histogram_stride[dtype: DType](a: Layer[dtype]) -> Int:
    """Words between the counts of one block and of the next: 16 bytes are loaded at a time."""
    return ceildiv(Int(a.n_experts), 4) * 4


@inline(.always)
def clear_finished[dtype: DType](a: Layer[dtype], counters: U32P, thread: Int, threads: Int):
    """Nobody has finished a tile yet: the last reader of these counters was the launch before."""
    for i in range(Int(block_idx.x) * threads + thread, finished_slots(a), Int(grid_dim.x) * threads):
        counters[unsafe_offset=i] = 0


@inline(.always)
def clear_counts[dtype: DType, shape: Shape](block: Block[dtype, shape], thread: Int, threads: Int):
    """Nothing has been counted or placed yet."""
    for e in range(thread, MAX_EXPERTS, threads):
        block.table(0)[unsafe_offset=e] = 0
        block.before()[unsafe_offset=e] = 0
        block.of_warps().unsafe_bitcast[UInt64]()[unsafe_offset=e] = 0


@inline(.always)
def count_pairs[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """Routes the block's tokens, leaves their choices in the window, and stores how many pairs each expert got."""
    var run = Run.of[dtype, shape](a)
    var k = Int(a.top_k)
    var first = run.first
    while first < run.last:
        var last = min(run.last, first + run.window)
        # Always for 256 experts: with two instances of it, wide tiles spill 80 bytes of registers, not 64.
        choose_some[PER_LANE](a, block, first, last, thread // 32, threads // 32)
        wait_barrier[CONSUMERS_BARRIER](threads)
        for p in range(thread, (last - first) * k, threads):
            add_shared(block.table(0).unsafe_offset(Int(block.window()[unsafe_offset=p])), 1)
        wait_barrier[CONSUMERS_BARRIER](threads)
        first = last
    for e in range(thread, histogram_stride(a), threads):
        if run.first < run.last:
            a.histogram[unsafe_offset=Int(block_idx.x) * histogram_stride(a) + e] = block.table(0)[unsafe_offset=e]
        block.table(0)[unsafe_offset=e] = 0


@inline(.always)
def choose_some[
    dtype: DType, shape: Shape, //, per: Int
](a: Layer[dtype], block: Block[dtype, shape], first: Int, last: Int, warp: Int, warps: Int):
    """The experts of tokens [first, last), a token a warp, into the window."""
    var token = first + warp
    var logits = load_logits[per](a, block, min(token, last - 1))
    while token < last:
        var keys = keys_of[per](a, logits)
        # On their way while this token is chosen for.
        logits = load_logits[per](a, block, min(token + warps, last - 1))
        choose_experts[per](a, block, token, keys, False, (token - first) * Int(a.top_k))
        token += warps


@inline(.always)
def place_pairs[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """Fills the tables of the schedule and stores the place of every pair of this block."""
    var run = Run.of[dtype, shape](a)
    add_counts(a, block, run.blocks, thread, threads)
    wait_barrier[CONSUMERS_BARRIER](threads)
    fill_tables(a, block, thread, threads)
    var k = Int(a.top_k)
    var first = run.first
    while first < run.last:
        var last = min(run.last, first + run.window)
        if run.last - run.first > run.window:
            for p in range(thread, (last - first) * k, threads):
                block.window()[unsafe_offset=p] = a.ids[unsafe_offset=first * k + p]
        place_window[False](a, block, first, (last - first) * k, thread, threads)
        first = last


@inline(.always)
def add_counts[
    dtype: DType, shape: Shape
](a: Layer[dtype], block: Block[dtype, shape], blocks: Int, thread: Int, threads: Int):
    """Adds up the counts of all blocks: each expert's pairs into table 0, those of blocks before this one apart."""
    var experts = Int(a.n_experts)
    var stride = histogram_stride(a)
    var mine = Int(block_idx.x)
    if experts <= 32:
        # A warp per expert, a lane per block.
        for e in range(thread // 32, experts, threads // 32):
            var all = Int32(0)
            var before = Int32(0)
            for b in range(Int(lane_id()), blocks, 32):
                var c = a.histogram[unsafe_offset=b * stride + e]
                all += c
                before += c if b < mine else Int32(0)
            block.table(0)[unsafe_offset=e] = add_over_warp(all)
            block.before()[unsafe_offset=e] = add_over_warp(before)
        return
    # Four experts a thread, and one block of every so many. 32-bit numbers and no more instructions than it takes: code
    # that runs once is waited for.
    var fours = UInt32(stride // 4)
    var apart = UInt32(threads) // fours
    var row = UInt32(thread) // fours
    var e = (UInt32(thread) - row * fours) * 4
    if row >= apart:
        return
    var all = SIMD[DType.int32, 4](0)
    var before = SIMD[DType.int32, 4](0)
    while row < UInt32(blocks):
        var counts = StaticTuple[SIMD[DType.int32, 4], COUNTS_AT_ONCE](SIMD[DType.int32, 4](0))
        var from_ = a.histogram.unsafe_offset(Int(row * UInt32(stride) + e))
        var left = Int32(blocks) - Int32(row)
        var lower = Int32(mine) - Int32(row)
        comptime for u in range(COUNTS_AT_ONCE):
            if Int32(u) * Int32(apart) < left:
                counts[u] = from_.unsafe_load[width=4, alignment=16]()
            from_ = from_.unsafe_offset(Int(apart * UInt32(stride)))
        all += Int32(after_all[4](counts, a.n_tokens))
        comptime for u in range(COUNTS_AT_ONCE):
            all += counts[u]
            if Int32(u) * Int32(apart) < lower:
                before += counts[u]
        row += apart * COUNTS_AT_ONCE
    comptime for i in range(4):
        add_shared(block.table(0).unsafe_offset(Int(e) + i), all[i])
        add_shared(block.before().unsafe_offset(Int(e) + i), before[i])


@inline(.always)
def place_window[
    dtype: DType, shape: Shape, //, words: Bool
](a: Layer[dtype], block: Block[dtype, shape], first: Int, pairs: Int, thread: Int, threads: Int):
    """Places the pairs in the window, those of the tokens from `first` on: a thread a pair, behind what other blocks place
    before, what warps before this one do, and what lanes before this one do.

    Parameters:
        dtype: Of the activations.
        shape: The compiled variant.
        words: Whether places and tokens stay in the window: each block sorts all pairs for itself.
    """
    var warp = thread // 32
    var lower = (UInt32(1) << UInt32(lane_id())) - 1
    var k = Int(a.top_k)
    wait_barrier[CONSUMERS_BARRIER](threads)
    for start in range(0, pairs, threads):
        var p = start + thread
        var here = p < pairs
        var e = block.window()[unsafe_offset=p] if here else Int32(-1)
        var same = match_any(e)
        var rank = count_bits(same & lower)
        var of_warps = block.of_warps().unsafe_offset(Int(e) * 8)
        var heads = here and rank == 0
        if heads:
            of_warps[unsafe_offset=warp] = UInt8(count_bits(same))
        wait_barrier[CONSUMERS_BARRIER](threads)
        if here:
            # The sum of the bytes of the warps before: at most 7 * 32.
            var bytes = of_warps.unsafe_bitcast[UInt64]()[unsafe_offset=0] & ((UInt64(1) << UInt64(warp * 8)) - 1)
            var place = rank + Int32((bytes * 0x0101010101010101) >> 56)
            place += block.table(0)[unsafe_offset=Int(e)] + block.before()[unsafe_offset=Int(e)]
            var token = Int32(first + divide(p, k))
            comptime if words:
                block.window()[unsafe_offset=p] = place
                block.window()[unsafe_offset=SOME_PAIRS + Int(place)] = token
            else:
                a.position[unsafe_offset=first * k + p] = place
                if Int(a.sorted) == 0:
                    a.tokens[unsafe_offset=Int(place)] = token
        wait_barrier[CONSUMERS_BARRIER](threads)
        if heads:
            of_warps[unsafe_offset=warp] = 0
            add_shared(block.before().unsafe_offset(Int(e)), count_bits(same))
        wait_barrier[CONSUMERS_BARRIER](threads)


@inline(.always)
def sort_rows[dtype: DType, shape: Shape](a: Layer[dtype], thread: Int, threads: Int):
    """Copies each row of the block's tokens to the places of its pairs: a warp a row, 4 KiB in flight.

    The second matmul's rows are sorted by themselves; with a copy the first's are fetched in the same way, by one thread
    in place of three warps whose 16-byte copies held the tensor cores to half their rate. The copy itself takes 2 %.
    """
    comptime width = 16 // size_of[dtype]()
    comptime AHEAD = 8
    var run = Run.of[dtype, shape](a)
    var k = Int(a.top_k)
    var columns = Int(a.sorted_stride)
    var lane = Int(lane_id())
    for token in range(run.first + thread // 32, run.last, threads // 32):
        var from_ = a.staged.unsafe_offset(token * Int(a.staged_stride))
        # A lane a choice; what is beyond 32 choices is read when its turn comes.
        var places = a.position[unsafe_offset=token * k + min(lane, k - 1)]
        for start in range(0, columns, 32 * width * AHEAD):
            # All lanes take every turn: they read each other's places.
            var first = start + lane * width
            var pieces = StaticTuple[SIMD[dtype, width], AHEAD]()
            comptime for i in range(AHEAD):
                var column = first + i * 32 * width
                if column < columns:
                    pieces[i] = from_.unsafe_offset(column).unsafe_load[width=width, alignment=16]()
            for j in range(k):
                var place = broadcast(places, j) if j < 32 else a.position[unsafe_offset=token * k + j]
                var to = a.sorted.unsafe_offset(Int(place) * columns)
                comptime for i in range(AHEAD):
                    var column = first + i * 32 * width
                    if column < columns:
                        to.unsafe_offset(column).unsafe_store[alignment=16](pieces[i])
    fence_async_global()


@inline(.always)
def fill_tables[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """All consumers: from pairs per expert in table 0 to the running sums of pairs and of tiles, two experts a thread.
    """
    var experts = Int(a.n_experts)
    var lane = Int(lane_id())
    var warp = thread // 32
    var tiles1 = Int32(weight_tiles[shape](Int(a.rows1)))
    var tiles2 = Int32(weight_tiles[shape](Int(a.d_stride)) * Int(a.splits))
    var e = 2 * thread
    var own = StaticTuple[SIMD[DType.int32, 4], 2]()
    comptime for i in range(2):
        var rows = Int(block.table(0)[unsafe_offset=e + i]) if e + i < experts else 0
        own[i] = SIMD[DType.int32, 4](
            Int32(rows),
            Int32(ceildiv(rows, Int(a.tokens1))) * tiles1,
            Int32(ceildiv(rows, Int(a.tokens2))) * tiles2,
            0,
        )
    var sums = own[0] + own[1]
    comptime for s in range(5):
        # Three shuffles on their way together.
        var below = SIMD[DType.int32, 4](
            shift_up(sums[0], 1 << s), shift_up(sums[1], 1 << s), shift_up(sums[2], 1 << s), 0
        )
        sums += below if lane >= (1 << s) else SIMD[DType.int32, 4](0)
    if lane == 31:
        block.totals().unsafe_offset(4 * warp).unsafe_store[alignment=16](sums)
    wait_barrier[CONSUMERS_BARRIER](threads)
    var before = sums - own[0] - own[1]
    var all = SIMD[DType.int32, 4](0)
    comptime for w in range(shape.consumers * 4):
        var total = block.totals().unsafe_offset(4 * w).unsafe_load[width=4, alignment=16]()
        before += total if w < warp else SIMD[DType.int32, 4](0)
        all += total
    comptime for c in range(3):
        comptime for i in range(2):
            if e + i < experts:
                block.table(c)[unsafe_offset=e + i] = before[c] + (own[0][c] if i == 1 else Int32(0))
        if thread == 0:
            block.table(c)[unsafe_offset=experts] = all[c]
    wait_barrier[CONSUMERS_BARRIER](threads)
