"""Routing of a range of tokens by every block that works on it, and the block's rows gathered in shared memory.

Sixteen blocks repeat the same routing; that takes 1 us less than a barrier over the grid, a sort and a second read of the
rows. A warp takes sixteen tokens: their rows go from device memory into the registers of `mma`'s left operand, and from
there, if they chose the block's expert, to shared memory.
"""

from std.math import exp
from std.memory import bitcast
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, lane_id
from max.gpu.compute.mma import mma

from hopper.layer import Layer
from hopper.ptx import arrive_barrier, await_launch_before, ballot, broadcast, count_bits, reciprocal, wait_barrier
from hopper.route import rank_key, value_of
from hopper.stamp import stamp
from hopper.small_shape import (
    ASKED_BARRIER,
    CHOICES,
    EXPERTS,
    Part,
    READY_BARRIER,
    ROUTER_COPIES,
    SmallBlock,
    SmallShape,
    THREADS,
)

comptime Words = SIMD[DType.uint32, 4]
comptime NOTHING = UInt32(0)


@inline(.always)
def load_16[dtype: DType](p: Pointer[Scalar[dtype], MutUntrackedOrigin], there: Bool) -> Words:
    """16 bytes, or zeros."""
    var v = Words(0)
    if there:
        v = p.unsafe_bitcast[UInt32]().unsafe_load[width=4, alignment=16]()
    return v


@fieldwise_init
struct Choice(TrivialRegisterPassable):
    """What a token chose: the weights of its choices, and which of them is the block's expert (-1: none)."""

    var gates: SIMD[DType.float32, CHOICES]
    var ids: SIMD[DType.int32, CHOICES]
    var slot: Int32


@inline(.always)
def keys_of[dtype: DType](a: Layer[dtype], logits: SIMD[DType.float32, 4]) -> SIMD[DType.uint32, EXPERTS]:
    """The rank keys of one token's logits, in every lane that looks after it.

    Four neighbouring lanes have two logits each of two tokens: the first of them in lanes 0 and 1 of `logits`. Even lanes
    look after the first token, odd ones after the second.
    """
    var lane = Int(lane_id())
    var q = lane % 4
    var keys = SIMD[DType.uint32, EXPERTS](0)
    comptime for side in range(2):
        var e = 2 * q + side
        var first = logits[side]
        var second = logits[2 + side]
        var there = e < Int(a.n_experts)
        if Int(a.router_bias) != 0 and there:
            var bias = a.router_bias[unsafe_offset=e]
            first += bias
            second += bias
        var key0 = Int32(rank_key(first) if there else NOTHING)
        var key1 = Int32(rank_key(second) if there else NOTHING)
        comptime for i in range(EXPERTS // 2):
            var from0 = broadcast(key0, lane - q + i)
            var from1 = broadcast(key1, lane - q + i)
            keys[2 * i + side] = UInt32(from1 if q % 2 == 1 else from0)
    return keys


@inline(.always)
def choose[dtype: DType](a: Layer[dtype], expert: Int, keys_given: SIMD[DType.uint32, EXPERTS]) -> Choice:
    """The k best experts of a token, by each of its lanes alike: shuffles between rounds would take most of the time.

    The rules are those of `route_token`: ties to the lowest id, NaN below everything.
    """
    var keys = keys_given
    var gates = SIMD[DType.float32, CHOICES](0)
    var ids = SIMD[DType.int32, CHOICES](0)
    var slot = Int32(-1)
    var largest = Float32(0)
    var total = Float32(0)
    comptime for j in range(CHOICES):
        if j < Int(a.top_k):
            var best = keys
            var id = SIMD[DType.int32, EXPERTS](0, 1, 2, 3, 4, 5, 6, 7)
            comptime for level in range(3):
                comptime apart = 1 << level
                comptime for e in range(0, EXPERTS, 2 * apart):
                    if best[e + apart] > best[e]:
                        best[e] = best[e + apart]
                        id[e] = id[e + apart]
            comptime for e in range(EXPERTS):
                if id[0] == Int32(e):
                    keys[e] = NOTHING
            var value = value_of(best[0])
            comptime if j == 0:
                largest = value
                # An infinity makes the weights NaN, as PyTorch's softmax does.
                gates[0] = Float32(1) if abs(value) <= 3.4028235e38 else exp(value - largest)
            else:
                gates[j] = exp(value - largest)
            total += gates[j]
            ids[j] = id[0]
            if Int(id[0]) == expert:
                slot = Int32(j)
    if a.renormalize == 0:
        total = 0
        comptime for e in range(EXPERTS):
            if e < Int(a.n_experts):
                total += exp(value_of(keys_given[e]) - largest)
    return Choice(gates * reciprocal(total), ids, slot)


@inline(.always)
def place_row[
    dtype: DType, shape: SmallShape, blocks: Int
](block: SmallBlock[dtype, shape], row: Int, words: StaticTuple[Words, blocks]):
    """A lane's share of a token's row, into row `row` of every slab."""
    var q = Int(lane_id()) % 4
    comptime for j in range(blocks):
        var chunk = ((j % 2) * 4 + q) ^ (row % 8)
        block.rows(j // 2).unsafe_offset(row * 128 + chunk * 16).unsafe_bitcast[UInt32]().unsafe_store[alignment=16](
            words[j]
        )


@inline(.always)
def route_range[
    dtype: DType, shape: SmallShape
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, thread: Int) -> Int:
    """Routes the range and gathers the rows of the tokens that chose the block's expert; returns how many.

    Args:
        a: The layer.
        block: Its shared memory.
        part: What it works on.
        thread: Below 256.
    """
    comptime blocks = shape.groups * 4
    var lane = Int(lane_id())
    var warp = thread // 32
    var q = lane % 4
    var token0 = warp * 16 + lane // 4
    var token1 = token0 + 8
    var k0 = Int(a.k0)
    # Lane q of a token holds columns 32 j + 8 q..; the router's weights are read the same way, so that the order of the
    # columns within a product does not matter.
    var row0 = StaticTuple[Words, blocks]()
    var row1 = StaticTuple[Words, blocks]()
    var weights = StaticTuple[Words, blocks]()
    # Blocks read different copies: a line that all of them ask for at once, the L2 cache hands out block by block.
    var copy = Int(block_idx.x) % ROUTER_COPIES
    var router = a.router.unsafe_offset((copy * Int(a.n_experts) + lane // 4) * Int(a.router_stride) + q * 8)
    comptime for j in range(blocks):
        weights[j] = load_16(router.unsafe_offset(j * 32), j * 32 < k0 and lane // 4 < Int(a.n_experts))
    await_launch_before()
    var at = a.raw.unsafe_offset((part.first + token0) * Int(a.d_model) + q * 8)
    comptime for j in range(blocks):
        var inside = j * 32 < k0
        row0[j] = load_16(at.unsafe_offset(j * 32), inside and token0 < part.tokens)
        row1[j] = load_16(at.unsafe_offset(8 * Int(a.d_model) + j * 32), inside and token1 < part.tokens)
    # Rows first: the weights are four times as many bytes, and nobody needs them yet.
    arrive_barrier[ASKED_BARRIER](THREADS)
    var sums = StaticTuple[SIMD[DType.float32, 4], 4](SIMD[DType.float32, 4](0))
    comptime for j in range(blocks):
        comptime for half in range(2):
            var left = SIMD[DType.uint32, 4](
                row0[j][2 * half], row1[j][2 * half], row0[j][2 * half + 1], row1[j][2 * half + 1]
            )
            var right = SIMD[DType.uint32, 2](weights[j][2 * half], weights[j][2 * half + 1])
            # Four sums in turn: a product waits for the one before it in the same sum.
            comptime s = (2 * j + half) % 4
            var d = sums[s]
            mma(d, bitcast[dtype, 8](left), bitcast[dtype, 4](right), d)
            sums[s] = d
    var logits = (sums[0] + sums[1]) + (sums[2] + sums[3])
    stamp[1](a.sync, thread)
    # A lane looks after one of its two tokens, and tells the others which choice of it is the block's expert.
    var q_odd = q % 2 == 1
    var mine = choose(a, part.expert, keys_of(a, logits))
    var token = token1 if q_odd else token0
    if token >= part.tokens:
        mine.slot = -1
    elif q < 2:
        # One block of the range writes them for the caller, another for each warp. Here, although the fence before the
        # matmuls waits for it: written after them, a call took 2 % longer.
        var turn = warp
        while turn >= part.members:
            turn -= part.members
        var writes = part.member == turn
        var pair = token * Int(a.top_k)
        comptime for j in range(CHOICES):
            if j < Int(a.top_k):
                block.gates()[unsafe_offset=pair + j] = mine.gates[j]
                if writes:
                    a.ids[unsafe_offset=part.first * Int(a.top_k) + pair + j] = mine.ids[j]
                    a.gates[unsafe_offset=part.first * Int(a.top_k) + pair + j] = mine.gates[j]
    var slot0 = broadcast(mine.slot, lane - q)
    var slot1 = broadcast(mine.slot, lane - q + 1)
    # Rows keep the order of their tokens: token0 of all lanes come before token1.
    comptime ONE_LANE = UInt32(0x11111111)
    var mine0 = ballot(slot0 >= 0) & ONE_LANE
    var mine1 = ballot(slot1 >= 0) & ONE_LANE
    var lower = (UInt32(1) << UInt32(lane // 4 * 4)) - 1
    if lane == 0:
        block.counts()[unsafe_offset=warp] = count_bits(mine0) + count_bits(mine1)
    stamp[2](a.sync, thread)
    wait_barrier[READY_BARRIER](THREADS)
    stamp[3](a.sync, thread)
    var before = Int32(0)
    var all = Int32(0)
    var counts = block.counts().unsafe_load[width=8, alignment=16]()
    comptime for w in range(8):
        all += counts[w]
        before += counts[w] if w < warp else Int32(0)
    var at0 = Int(before + count_bits(mine0 & lower))
    var at1 = Int(before + count_bits(mine0) + count_bits(mine1 & lower))
    if slot0 >= 0:
        place_row[dtype, shape, blocks](block, at0, row0)
        if q == 0:
            block.places()[unsafe_offset=at0] = (Int32(token0) * a.top_k + slot0) * a.d_stride
    if slot1 >= 0:
        place_row[dtype, shape, blocks](block, at1, row1)
        if q == 0:
            block.places()[unsafe_offset=at1] = (Int32(token1) * a.top_k + slot1) * a.d_stride
    return Int(all)
