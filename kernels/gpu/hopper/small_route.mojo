"""Routing of a range of tokens by every block that works on it, and the block's rows gathered in shared memory.

Sixteen blocks repeat the same routing; that takes 1 us less than a barrier over the grid, a sort and a second read of the
rows. A warp takes sixteen tokens: their rows go from device memory into the registers of `mma`'s left operand, and from
there, if they chose the block's expert, to shared memory.
"""

from std.math import exp
from std.memory import bitcast
from std.utils.static_tuple import StaticTuple
from max.gpu import lane_id
from max.gpu.compute.mma import mma
from max.gpu.sync import barrier

from hopper.layer import Layer
from hopper.ptx import ballot, butterfly, count_bits
from hopper.route import rank_key, value_of
from hopper.small_shape import CHOICES, Part, SmallBlock, SmallShape

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
def choose[dtype: DType](a: Layer[dtype], expert: Int, logit0: Float32, logit1: Float32) -> Choice:
    """The k best experts of a token whose eight logits lie in four neighbouring lanes, two each.

    The rules are those of `route_token`: ties to the lowest id, NaN below everything.
    """
    var q = Int(lane_id()) % 4
    var experts = Int(a.n_experts)
    var l0 = logit0
    var l1 = logit1
    if Int(a.router_bias) != 0:
        if 2 * q < experts:
            l0 += a.router_bias[unsafe_offset=2 * q]
        if 2 * q + 1 < experts:
            l1 += a.router_bias[unsafe_offset=2 * q + 1]
    var k0 = rank_key(l0) if 2 * q < experts else NOTHING
    var k1 = rank_key(l1) if 2 * q + 1 < experts else NOTHING
    var there0 = k0 != 0
    var there1 = k1 != 0
    var gates = SIMD[DType.float32, CHOICES](0)
    var ids = SIMD[DType.int32, CHOICES](0)
    var slot = Int32(-1)
    var largest = Float32(0)
    var total = Float32(0)
    comptime for j in range(CHOICES):
        if j < Int(a.top_k):
            var best = k0 if k0 >= k1 else k1
            var id = UInt32(2 * q) if k0 >= k1 else UInt32(2 * q + 1)
            comptime for s in range(1, 3):
                var other = butterfly(best, s)
                var other_id = butterfly(id, s)
                if other > best or (other == best and other_id < id):
                    best = other
                    id = other_id
            if id == UInt32(2 * q):
                k0 = NOTHING
            if id == UInt32(2 * q + 1):
                k1 = NOTHING
            var value = value_of(best)
            comptime if j == 0:
                largest = value
                # An infinity makes the weights NaN, as PyTorch's softmax does.
                gates[0] = Float32(1) if abs(value) <= 3.4028235e38 else exp(value - largest)
            else:
                gates[j] = exp(value - largest)
            total += gates[j]
            ids[j] = Int32(id)
            if Int(id) == expert:
                slot = Int32(j)
    if a.renormalize == 0:
        total = (exp(l0 - largest) if there0 else Float32(0)) + (exp(l1 - largest) if there1 else Float32(0))
        comptime for s in range(1, 3):
            total += bitcast[DType.float32, 1](butterfly(bitcast[DType.uint32, 1](total), s))
    return Choice(gates / total, ids, slot)


@inline(.always)
def publish[
    dtype: DType, shape: SmallShape
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, token: Int, c: Choice, writes: Bool):
    """One lane of a token: its weights for the block, and for the caller if this block is to write them."""
    if token < part.tokens:
        var k = Int(a.top_k)
        comptime for j in range(CHOICES):
            if j < k:
                block.gates()[unsafe_offset=token * k + j] = c.gates[j]
                if writes:
                    var at = (part.first + token) * k + j
                    a.ids[unsafe_offset=at] = c.ids[j]
                    a.gates[unsafe_offset=at] = c.gates[j]


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
    var at = a.raw.unsafe_offset((part.first + token0) * Int(a.d_model) + q * 8)
    var router = a.router.unsafe_offset(lane // 4 * Int(a.router_stride) + q * 8)
    comptime for j in range(blocks):
        var inside = j * 32 < k0
        row0[j] = load_16(at.unsafe_offset(j * 32), inside and token0 < part.tokens)
        row1[j] = load_16(at.unsafe_offset(8 * Int(a.d_model) + j * 32), inside and token1 < part.tokens)
        weights[j] = load_16(router.unsafe_offset(j * 32), inside and lane // 4 < Int(a.n_experts))
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
    var first = choose(a, part.expert, logits[0], logits[1])
    var second = choose(a, part.expert, logits[2], logits[3])
    if q == 0:
        var writes = part.member == warp % part.members
        publish(a, block, part, token0, first, writes)
        publish(a, block, part, token1, second, writes)
    if token0 >= part.tokens:
        first.slot = -1
    if token1 >= part.tokens:
        second.slot = -1
    # Rows keep the order of their tokens: token0 of all lanes come before token1.
    comptime ONE_LANE = UInt32(0x11111111)
    var mine0 = ballot(first.slot >= 0) & ONE_LANE
    var mine1 = ballot(second.slot >= 0) & ONE_LANE
    var lower = (UInt32(1) << UInt32(lane // 4 * 4)) - 1
    if lane == 0:
        block.counts()[unsafe_offset=warp] = count_bits(mine0) + count_bits(mine1)
    barrier()
    var before = Int32(0)
    var all = Int32(0)
    comptime for w in range(8):
        var c = block.counts()[unsafe_offset=w]
        all += c
        before += c if w < warp else Int32(0)
    var at0 = Int(before + count_bits(mine0 & lower))
    var at1 = Int(before + count_bits(mine0) + count_bits(mine1 & lower))
    if first.slot >= 0:
        place_row[dtype, shape, blocks](block, at0, row0)
        if q == 0:
            block.pairs()[unsafe_offset=at0] = Int32(token0) * a.top_k + first.slot
    if second.slot >= 0:
        place_row[dtype, shape, blocks](block, at1, row1)
        if q == 0:
            block.pairs()[unsafe_offset=at1] = Int32(token1) * a.top_k + second.slot
    return Int(all)
