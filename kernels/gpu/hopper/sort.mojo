"""Sorting pairs (token, choice) by expert, the same way every time: no atomics.

Each block owns a run of tokens. It counts its pairs per expert (`count_pairs`); after a grid barrier every block adds up
the counts, so that each knows where its pairs go (`place_pairs`). Within an expert, pairs keep the order of their tokens.
"""

from std.bit import count_trailing_zeros
from std.sys import size_of
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim, lane_id

from hopper.grid import CONSUMERS_BARRIER
from hopper.layer import Layer
from hopper.ptx import add_over_warp, broadcast, count_bits, fence_async_global, wait_barrier
from hopper.route import choose_experts, load_keys
from hopper.memory import U32P
from hopper.schedule import ceildiv, divide
from hopper.shape import Block, GROUP_ROWS, MAX_EXPERTS, Shape, WINDOW
from hopper.tables import add_up_tables

comptime AT_ONCE = 16
"""Ids a thread compares at a time."""


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
    def of[dtype: DType](a: Layer[dtype]) -> Self:
        """This block's run."""
        var tokens = Int(a.n_tokens)
        var per = max(1, ceildiv(tokens, Int(grid_dim.x)))
        var first = min(tokens, Int(block_idx.x) * per)
        return Run(first, min(tokens, first + per), ceildiv(tokens, per), WINDOW // Int(a.top_k))


@inline(.always)
def clear_finished(counters: U32P, count: Int, thread: Int, threads: Int):
    """Nobody has taken or finished a tile yet: the last reader of these counters was the launch before."""
    for i in range(Int(block_idx.x) * threads + thread, count, Int(grid_dim.x) * threads):
        counters[unsafe_offset=i] = 0


@inline(.always)
def count_pairs[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """Routes the block's tokens and stores how many pairs each expert got."""
    var run = Run.of(a)
    var k = Int(a.top_k)
    var counts = SIMD[DType.int32, 2](0)
    var first = run.first
    while first < run.last:
        var last = min(run.last, first + run.window)
        for token in range(first + thread // 32, last, threads // 32):
            choose_experts(a, token, load_keys(a, token))
        wait_barrier[CONSUMERS_BARRIER](threads)
        load_window(a, block, first, last, thread, threads)
        comptime for i in range(MAX_EXPERTS // 128):
            var e = i * threads + thread
            if e < Int(a.n_experts):
                for p in range(0, (last - first) * k, AT_ONCE):
                    counts[i] += count_bits(matches(block, p, e))
        wait_barrier[CONSUMERS_BARRIER](threads)
        first = last
    comptime for i in range(MAX_EXPERTS // 128):
        var e = i * threads + thread
        if e < Int(a.n_experts) and run.first < run.last:
            a.histogram[unsafe_offset=Int(block_idx.x) * Int(a.n_experts) + e] = counts[i]


@inline(.always)
def load_window[
    dtype: DType, shape: Shape
](a: Layer[dtype], block: Block[dtype, shape], first: Int, last: Int, thread: Int, threads: Int):
    """The ids chosen by tokens [first, last), into shared memory, filled up to a multiple of AT_ONCE."""
    var k = Int(a.top_k)
    var pairs = (last - first) * k
    for p in range(thread, ceildiv(pairs, AT_ONCE) * AT_ONCE, threads):
        block.window()[unsafe_offset=p] = a.ids[unsafe_offset=first * k + p] if p < pairs else Int32(-1)
    wait_barrier[CONSUMERS_BARRIER](threads)


@inline(.always)
def matches[dtype: DType, shape: Shape](block: Block[dtype, shape], start: Int, e: Int) -> UInt32:
    """A bit for each of AT_ONCE ids of the window: whether it is `e`. One by one, each would wait for shared memory."""
    var ids = StaticTuple[SIMD[DType.int32, 4], AT_ONCE // 4]()
    comptime for i in range(AT_ONCE // 4):
        ids[i] = block.window().unsafe_offset(start + 4 * i).unsafe_load[width=4, alignment=16]()
    var found = UInt32(0)
    comptime for i in range(AT_ONCE):
        found |= (UInt32(1) << UInt32(i)) if ids[i // 4][i % 4] == Int32(e) else UInt32(0)
    return found


@inline(.always)
def place_pairs[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """Fills the tables of the schedule and stores the place of every pair of this block."""
    var run = Run.of(a)
    var experts = Int(a.n_experts)
    var k = Int(a.top_k)
    var mine = Int(block_idx.x)
    if experts <= 32:
        # A warp per expert, a lane per block: five loads in flight instead of 132 one after another.
        for e in range(thread // 32, experts, threads // 32):
            var all = Int32(0)
            var before = Int32(0)
            for b in range(Int(lane_id()), run.blocks, 32):
                var c = a.histogram[unsafe_offset=b * experts + e]
                all += c
                before += c if b < mine else Int32(0)
            block.table(0)[unsafe_offset=e] = add_over_warp(all)
            block.window()[unsafe_offset=e] = add_over_warp(before)
    else:
        for e in range(thread, experts, threads):
            var all = Int32(0)
            var before = Int32(0)
            var b = 0
            while b < run.blocks:
                comptime for u in range(16):
                    var at = b + u
                    var c = a.histogram[unsafe_offset=min(at, run.blocks - 1) * experts + e]
                    all += c if at < run.blocks else Int32(0)
                    before += c if at < mine else Int32(0)
                b += 16
            block.table(0)[unsafe_offset=e] = all
            block.window()[unsafe_offset=e] = before
    wait_barrier[CONSUMERS_BARRIER](threads)
    add_up_tables(a, block, thread)
    wait_barrier[CONSUMERS_BARRIER](threads)
    var next = SIMD[DType.int32, 2](0)
    comptime for i in range(MAX_EXPERTS // 128):
        var e = i * threads + thread
        if e < experts:
            next[i] = block.table(0)[unsafe_offset=e] + block.window()[unsafe_offset=e]
    wait_barrier[CONSUMERS_BARRIER](threads)
    var first = run.first
    while first < run.last:
        var last = min(run.last, first + run.window)
        load_window(a, block, first, last, thread, threads)
        comptime for i in range(MAX_EXPERTS // 128):
            var e = i * threads + thread
            if e < experts:
                for start in range(0, (last - first) * k, AT_ONCE):
                    var found = matches(block, start, e)
                    while found != 0:
                        var p = start + Int(count_trailing_zeros(found))
                        found &= found - 1
                        a.position[unsafe_offset=first * k + p] = next[i]
                        if Int(a.sorted) == 0:
                            a.tokens[unsafe_offset=Int(next[i])] = Int32(first + divide(p, k))
                        next[i] += 1
        wait_barrier[CONSUMERS_BARRIER](threads)
        first = last


@inline(.always)
def sort_rows[dtype: DType](a: Layer[dtype], thread: Int, threads: Int):
    """Copies each row of the block's tokens to the places of its pairs: a warp a row, 4 KiB in flight.

    The second matmul's rows are sorted by themselves; with a copy the first's are fetched in the same way, by one thread
    in place of three warps whose 16-byte copies held the tensor cores to half their rate. The copy itself takes 2 %.
    """
    comptime width = 16 // size_of[dtype]()
    comptime AHEAD = 8
    var run = Run.of(a)
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
