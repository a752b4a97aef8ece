"""Rows of few tokens on their way from block to block: hidden rows into the second matmul, expert outputs into the sum."""

from std.memory import bitcast
from std.sys import size_of
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim, lane_id
from max.gpu.memory import fence_async_view_proxy

from hopper.few_words import await_two, lacks, load_two, missing
from hopper.layer import Layer
from hopper.producer import Ring
from hopper.ptx import sum_over_warp
from hopper.schedule import (
    SECOND,
    Turn,
    ceildiv,
    columns_of_stage,
    count_tiles,
    divide,
    find_tile,
    k_blocks,
    split_range,
)
from hopper.shape import Block, FEW_TOKENS, GATHERERS, ROW_BYTES, Shape

comptime MOST_SPLITS = 8
"""Parts of an output a lane loads before it adds the first."""


@inline(.always)
def gather_hidden[
    dtype: DType, shape: Shape
](a: Layer[dtype], block: Block[dtype, shape], thread: Int, mut ring: Ring, mut turn: Turn, before: Int):
    """GATHERERS threads: the hidden rows of all this block's tiles of the second matmul, as they come in.

    Eight threads a stage, 16 bytes of each row a thread, twelve stages at once: a look at the words takes 0.4 us.
    """
    comptime width = 16 // size_of[dtype]()
    comptime stages = GATHERERS // 8
    comptime per_word = 4 // size_of[dtype]()
    var chunk = thread % 8
    var slot = thread // 8
    var number = block.launch()[unsafe_offset=0]
    var words = a.hidden.unsafe_bitcast[UInt32]()
    var end = before + count_tiles[SECOND](a, block)
    while turn.index < end:
        var tile = find_tile[SECOND](a, block, turn.index - before)
        var part = split_range(k_blocks[dtype](a.k1), Int(a.splits), tile.split)
        for first in range(part[0], part[1], stages):
            var loaded = StaticTuple[SIMD[DType.uint32, 4], 2 * FEW_TOKENS]()
            if first + slot < part[1]:
                var column = columns_of_stage[dtype](a.k1, first + slot)[1] + chunk * width
                var stride = Int(a.hidden_stride) // per_word * 2
                var from_ = words.unsafe_offset(tile.row * stride + column // per_word * 2)
                comptime for r in range(FEW_TOKENS):
                    if r < tile.n_tokens:
                        comptime for half in range(2):
                            loaded[2 * r + half] = load_two(from_.unsafe_offset(r * stride + 4 * half))
                if a.n_tokens == 1:
                    # Both again together: one after the other, each that was not there would take a look of its own. Of more
                    # tokens most are there, and two looks for one are in the way of the weights.
                    while (lacks(loaded[0], number) | lacks(loaded[1], number)) != 0:
                        comptime for half in range(2):
                            loaded[half] = load_two(from_.unsafe_offset(4 * half))
                else:
                    comptime for r in range(FEW_TOKENS):
                        if r < tile.n_tokens:
                            comptime for half in range(2):
                                loaded[2 * r + half] = await_two(
                                    from_.unsafe_offset(r * stride + 4 * half), loaded[2 * r + half], number
                                )
            for stage in range(min(stages, part[1] - first)):
                block.empty()[unsafe_offset=ring.stage()].wait(ring.parity)
                if stage == slot:
                    var to = block.tokens(ring.stage()).unsafe_bitcast[UInt32]()
                    comptime for r in range(FEW_TOKENS):
                        if r < tile.n_tokens:
                            var low = loaded[2 * r]
                            var high = loaded[2 * r + 1]
                            to.unsafe_offset(r * (ROW_BYTES // 4) + (chunk ^ r) * 4).unsafe_store[alignment=16](
                                SIMD[DType.uint32, 4](low[0], low[2], high[0], high[2])
                            )
                    # The tensor cores read through the asynchronous proxy.
                    fence_async_view_proxy()
                _ = block.full()[unsafe_offset=ring.stage()].arrive()
                ring.advance[shape.stages]()
        turn.follow(block)


@inline(.always)
def combine_few[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int):
    """The weighted sums of the experts' outputs as they come in, 16 features of a token a warp, in float32.

    Four lanes share a choice's features; lanes 4 apart have choices next to each other. Items go to blocks in turn, so that
    every multiprocessor has one before any has two.
    """
    comptime warps = shape.consumers * 4
    var lane = Int(lane_id())
    var k = Int(a.top_k)
    var d = Int(a.d_model)
    var stride = Int(a.d_stride) * 2
    var splits = Int(a.splits)
    var apart = Int(a.n_tokens) * k * stride
    var pieces = ceildiv(d, 16)
    var number = block.launch()[unsafe_offset=0]
    var whole = d % 4 == 0 and Int(a.outputs) % 16 == 0
    var words = a.expert_out.unsafe_bitcast[UInt32]()
    for item in range(
        Int(block_idx.x) + Int(grid_dim.x) * (thread // 32), Int(a.n_tokens) * pieces, Int(grid_dim.x) * warps
    ):
        var token = divide(item, pieces)
        var column = (item - token * pieces) * 16 + lane % 4 * 4
        var sum = SIMD[DType.float32, 4](0)
        # All lanes take every turn, the last choice again where there is none: they add up across the warp.
        for turn in range(0, k, 8):
            var here = turn + lane // 4 < k
            var choice = token * k + min(turn + lane // 4, k - 1)
            var gate = block.few_gates()[unsafe_offset=choice]
            var from_ = words.unsafe_offset(Int(block.few_places()[unsafe_offset=choice]) * stride + column * 2)
            # All again together, as above; what is not asked for is there.
            var loaded = StaticTuple[SIMD[DType.uint32, 4], 2 * MOST_SPLITS](SIMD[DType.uint32, 4](number))
            while True:
                comptime for s in range(MOST_SPLITS):
                    if s < splits:
                        comptime for half in range(2):
                            loaded[2 * s + half] = load_two(from_.unsafe_offset(s * apart + 4 * half))
                if missing(loaded, number) == 0:
                    break
            comptime for s in range(MOST_SPLITS):
                if s < splits:
                    comptime for half in range(2):
                        var two = loaded[2 * s + half]
                        sum[2 * half] += gate * bitcast[DType.float32, 1](two[0]) if here else Float32(0)
                        sum[2 * half + 1] += gate * bitcast[DType.float32, 1](two[2]) if here else Float32(0)
        comptime for i in range(4):
            sum[i] = sum_over_warp[3](sum[i])
        if lane < 4:
            var to = a.outputs.unsafe_offset(token * d + column)
            if whole and column < d:
                to.unsafe_store[width=4, alignment=4 * size_of[dtype]()](sum.cast[dtype]())
            else:
                comptime for c in range(4):
                    if column + c < d:
                        to[unsafe_offset=c] = sum[c].cast[dtype]()
