"""The parts of the outputs that blocks of the kernel for small layers hand to each other: words that tell when they are there.

A word of a part that nobody has written is all ones: two NaNs of a kind that no conversion from float32 makes. Who sums
the parts reads until none of the words he read is that, so nobody waits for a fence, a counter and a second read. There
are two sets of parts; launches take turns. Each launch puts the set of the launch before in order again while its weights
are on their way.
"""

from max.gpu import block_idx, grid_dim, lane_id

from hopper.layer import Layer
from hopper.memory import Global
from hopper.ptx import add_relaxed, broadcast
from hopper.schedule import ceildiv
from hopper.small_shape import SmallBlock, SmallShape

comptime UNWRITTEN = UInt32(0xFFFFFFFF)
comptime TURN_WORD = 32
"""The word of `sync` whose top bit flips once a launch; 128 bytes from what else is there."""
comptime USED_WORD = 64
"""The word that holds how much of the first set its last launch used, in pieces of 16 bytes; 32 on, of the second."""


@inline(.always)
def parts_of[dtype: DType, shape: SmallShape](a: Layer[dtype], block: SmallBlock[dtype, shape]) -> Global[dtype]:
    """The set of parts that this launch fills, [slices, T k, d_stride]."""
    var from_ = a.expert_out.unsafe_bitcast[Scalar[dtype]]()
    return a.hidden if block.set()[unsafe_offset=0] != 0 else from_


@inline(.always)
def parts_a_choice[dtype: DType, shape: SmallShape](a: Layer[dtype]) -> Int:
    """Into how many parts the output of a token's choice is cut."""
    return Int(a.splits) // 2 if shape.paired else Int(a.splits)


@inline(.always)
def take_turn[dtype: DType](a: Layer[dtype], lane: Int) -> Int32:
    """One warp: which set this launch fills, 0 or 1. Every block gets the same answer, for the bit flips with the last.
    """
    var turn = Int32(0)
    if lane == 0:
        var step = UInt32(1)
        if block_idx.x == 0:
            step = UInt32(0x80000000) - UInt32(grid_dim.x) + 1
        turn = Int32(add_relaxed(a.sync.unsafe_offset(TURN_WORD), step) >> 31)
    return broadcast(turn, 0)


@inline(.always)
def clear_other_set[dtype: DType, //, shape: SmallShape](a: Layer[dtype], turn: Int32, lane: Int):
    """One warp: this block's share of the set that the launch before filled, and how much this launch will."""
    var used = a.sync.unsafe_offset(USED_WORD + 32 * (1 - Int(turn)))[unsafe_offset=0]
    var set = a.expert_out.unsafe_bitcast[UInt32]()
    if turn == 0:
        set = a.hidden.unsafe_bitcast[UInt32]()
    var each = ceildiv(Int(used), Int(grid_dim.x))
    var first = Int(block_idx.x) * each
    for piece in range(first + lane, min(Int(used), first + each), 32):
        set.unsafe_offset(piece * 4).unsafe_store[alignment=16](SIMD[DType.uint32, 4](UNWRITTEN))
    if block_idx.x == 0 and lane == 0:
        # Two bytes a value.
        var now = parts_a_choice[dtype, shape](a) * Int(a.n_tokens) * Int(a.top_k) * Int(a.d_stride) // 8
        a.sync.unsafe_offset(USED_WORD + 32 * Int(turn))[unsafe_offset=0] = UInt32(now)
