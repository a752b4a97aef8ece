"""Routing: logits, the k largest of each token, their weights."""

from std.math import exp
from std.memory import bitcast
from std.sys import size_of
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim, lane_id
from max.gpu.sync import syncwarp

from hopper.grid import CONSUMERS_BARRIER
from hopper.layer import Layer, ROUTE_BY_TILES
from hopper.memory import Global
from hopper.ptx import after_all, ballot, fence_async_global, max_over_warp, pinned, sum_over_warp, wait_barrier
from hopper.schedule import ceildiv, divide, router_splits
from hopper.shape import Block, MAX_EXPERTS, Shape
from hopper.tf32 import rounded_to_tf32

comptime PER_LANE = MAX_EXPERTS // 32
"""Neighbouring experts a lane looks after: of equal logits, the lowest id is in the lowest lane."""
comptime AT_ONCE = 4
"""Pieces of each row a lane loads before it multiplies the first: a load takes 0.7 us."""
comptime Keys = SIMD[DType.uint32, PER_LANE]


@inline(.always)
def load_staged[dtype: DType](a: Layer[dtype], token: Int, column: Int) -> SIMD[dtype, 8]:
    """Eight staged activations from `column` on, as they were before float32 was split into halves."""
    var from_ = a.staged.unsafe_offset(token * Int(a.staged_stride) + column)
    var x = from_.unsafe_load[width=8, alignment=16]()
    comptime if dtype == DType.float32:
        x += from_.unsafe_offset(Int(a.k0)).unsafe_load[width=8, alignment=16]()
    return x


@inline(.always)
def load_router[dtype: DType](a: Layer[dtype], expert: Int, column: Int) -> SIMD[dtype, 8]:
    """Eight router weights of an expert from `column` on."""
    return a.router.unsafe_offset(expert * Int(a.router_stride) + column).unsafe_load[width=8, alignment=16]()


@inline(.always)
def dot[dtype: DType](w: SIMD[dtype, 8], x: SIMD[dtype, 8]) -> Float32:
    """The sum of eight products, in float32."""
    return (w.cast[DType.float32]() * x.cast[DType.float32]()).reduce_add()


@inline(.always)
def logits_by_dots[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """Logits of all tokens, shared out over the warps of the grid: one expert and four tokens at a time.

    Where there are fewer such pieces than warps, `ways` warps of a block share one's columns: what one warp has to do is
    then so little that the first loads are most of it.
    """
    var lane = Int(lane_id())
    var warp = thread // 32
    var tokens = Int(a.n_tokens)
    var k = Int(a.k0)
    var items = Int(a.n_experts) * ceildiv(tokens, 4)
    var ways = 4 if items <= Int(grid_dim.x) * (threads // 128) else 1
    var groups = threads // 32 // ways
    var group = warp // ways
    var way = warp - group * ways
    for item in range(Int(block_idx.x) + Int(grid_dim.x) * group, items, Int(grid_dim.x) * groups):
        var t = divide(item, Int(a.n_experts))
        var e = item - t * Int(a.n_experts)
        t *= 4
        var sums = SIMD[DType.float32, 4](0)
        for first in range((way * 32 + lane) * 8, k, 256 * ways * AT_ONCE):
            var w = StaticTuple[SIMD[dtype, 8], AT_ONCE]()
            var x = StaticTuple[SIMD[dtype, 8], 4 * AT_ONCE]()
            comptime for u in range(AT_ONCE):
                var column = min(first + u * 256 * ways, k - 8)
                w[u] = load_router(a, e, column)
                comptime for i in range(4):
                    x[4 * u + i] = load_staged(a, min(t + i, tokens - 1), column)
            comptime for u in range(AT_ONCE):
                if first + u * 256 * ways < k:
                    var weights = pinned[8](w[u])
                    comptime for i in range(4):
                        sums[i] += dot(weights, pinned[8](x[4 * u + i]))
        comptime for i in range(4):
            var sum = sum_over_warp(sums[i])
            if lane == i and t + i < tokens:
                if ways == 1:
                    a.logits[unsafe_offset=(t + i) * Int(a.logits_stride) + e] = sum
                else:
                    block.window().unsafe_bitcast[Float32]()[unsafe_offset=warp * 4 + i] = sum
    if ways == 1:
        return
    # A piece a group at most: the block's sums lie in its window of ids, which nobody uses yet.
    wait_barrier[CONSUMERS_BARRIER](threads)
    var item = Int(block_idx.x) + Int(grid_dim.x) * group
    if way == 0 and item < items:
        var t = divide(item, Int(a.n_experts))
        var token = t * 4 + lane
        if lane < 4 and token < tokens:
            var parts = block.window().unsafe_bitcast[Float32]().unsafe_offset(warp * 4 + lane)
            a.logits[unsafe_offset=token * Int(a.logits_stride) + item - t * Int(a.n_experts)] = (
                parts[unsafe_offset=0] + parts[unsafe_offset=4]
            ) + (parts[unsafe_offset=8] + parts[unsafe_offset=12])


@inline(.always)
def rank_key(v: Float32) -> UInt32:
    """An integer above 0 that orders as the logits do; NaN below everything, both zeros alike."""
    var bits = bitcast[DType.uint32, 1](v if v != 0 else Float32(0))
    if v != v:
        return 1
    return ~bits if bits >> 31 != 0 else bits | 0x80000000


@inline(.always)
def value_of(key: UInt32) -> Float32:
    """The logit that `rank_key` made a key of; NaN for NaN's."""
    return bitcast[DType.float32, 1](key ^ 0x80000000 if key >> 31 != 0 else ~key)


@inline(.always)
def load_keys[dtype: DType](a: Layer[dtype], token: Int) -> Keys:
    """The keys of a lane's experts' logits of a token; 0 beyond the last expert."""
    var first = Int(lane_id()) * PER_LANE
    var experts = Int32(Int(a.n_experts) - first)
    # A row of logits is padded to 128: the last lanes may have none.
    var from_ = a.logits.unsafe_offset(token * Int(a.logits_stride) + (first if experts > 0 else 0))
    var logits = from_.unsafe_load[width=PER_LANE, alignment=16]()
    if Int(a.route) == ROUTE_BY_TILES and router_splits(a) == 2:
        # The other half of K.
        logits += from_.unsafe_offset(Int(a.n_tokens) * Int(a.logits_stride)).unsafe_load[
            width=PER_LANE, alignment=16
        ]()
    var keys = Keys(0)
    comptime for s in range(PER_LANE):
        if Int32(s) < experts:
            var logit = logits[s]
            if Int(a.router_bias) != 0:
                logit += a.router_bias[unsafe_offset=first + s]
            keys[s] = rank_key(logit)
    return keys


@fieldwise_init
struct Choice(TrivialRegisterPassable):
    """An expert that a token chooses, as each lane of a warp sees it."""

    var key: UInt32
    """Of its logit."""
    var wins: Bool
    """Whether it is one of this lane's."""
    var id: Int32
    """The expert, if so."""


@inline(.always)
def take_largest[per: Int](mut keys: SIMD[DType.uint32, per]) -> Choice:
    """A warp: takes the largest of all lanes' keys away; of equal ones, the lowest expert's.

    Parameters:
        per: Neighbouring experts a lane looks after.

    Args:
        keys: Those of this lane's experts; 0 where there is none.
    """
    var lane = Int32(lane_id())
    var best = keys.reduce_max()
    var top = max_over_warp(best)
    # Of the lanes that have it, the lowest; of its experts, too. All lanes vote: behind `and`, only some would.
    var having = ballot(best == top)
    var wins = best == top and (having & ((UInt32(1) << UInt32(lane)) - 1)) == 0
    var slot = Int32(0)
    comptime for s in range(per - 1, -1, -1):
        slot = Int32(s) if keys[s] == top else slot
    comptime for s in range(per):
        keys[s] = UInt32(0) if wins and slot == Int32(s) else keys[s]
    return Choice(top, wins, lane * Int32(per) + slot)


@inline(.always)
def sum_of_exps[per: Int](keys: SIMD[DType.uint32, per], largest: Float32) -> Float32:
    """A warp: the softmax's denominator over all experts, those chosen and the others."""
    var part = Float32(0)
    comptime for s in range(per):
        part += exp(value_of(keys[s]) - largest) if keys[s] != 0 else Float32(0)
    return sum_over_warp(part)


@inline(.always)
def choose_experts[dtype: DType](a: Layer[dtype], token: Int, own: Keys):
    """A warp: the k experts of a token, ties to the lowest id, and their weights.

    A NaN logit ranks below every other, so that ids are always k different experts; a chosen NaN, or a chosen pair of
    infinities, makes the token's weights NaN.

    Args:
        a: The layer.
        token: The token.
        own: The keys of this lane's experts' logits; 0 beyond the last expert.
    """
    var k = Int(a.top_k)
    var ids = a.ids.unsafe_offset(token * k)
    var gates = a.gates.unsafe_offset(token * k)
    var keys = own
    var largest = Float32(0)
    var total = Float32(0)
    for j in range(k):
        var choice = take_largest[PER_LANE](keys)
        largest = value_of(choice.key) if j == 0 else largest
        # An infinity makes the weights NaN, as PyTorch's softmax does.
        var gate = exp(value_of(choice.key) - largest)
        total += gate
        if choice.wins:
            ids[unsafe_offset=j] = choice.id
            gates[unsafe_offset=j] = gate
    if a.renormalize == 0:
        total = sum_of_exps[PER_LANE](own, largest)
    syncwarp()
    for j in range(Int(lane_id()), k, 32):
        gates[unsafe_offset=j] /= total
    syncwarp()


@inline(.always)
def stage_inputs[dtype: DType](a: Layer[dtype], thread: Int, threads: Int):
    """Copies the caller's activations into padded rows, float32 split as [high | low].

    Four pieces of 16 bytes at once: a thread that loaded, split and stored one number after another waited 0.7 us for each.
    """
    comptime width = 16 // size_of[dtype]()
    var d = Int(a.d_model)
    var tokens = Int(a.n_tokens)
    var whole = d % width == 0 and Int(a.raw) % 16 == 0
    var pieces = divide(Int(a.k0), width)
    var step = Int(grid_dim.x) * threads
    var step_tokens = divide(step, pieces)
    var piece = Int(block_idx.x) * threads + thread
    var token = divide(piece, pieces)
    step -= step_tokens * pieces
    piece -= token * pieces
    while token < tokens:
        var loaded = StaticTuple[SIMD[dtype, width], AT_ONCE](SIMD[dtype, width](0))
        var to = StaticTuple[Global[dtype], AT_ONCE](a.staged)
        var there = 0
        comptime for u in range(AT_ONCE):
            if token < tokens:
                there = u + 1
                var column = piece * width
                var from_ = a.raw.unsafe_offset(token * d + column)
                to[u] = a.staged.unsafe_offset(token * Int(a.staged_stride) + column)
                if not whole:
                    var v = SIMD[dtype, width](0)
                    comptime for c in range(width):
                        if column + c < d:
                            v[c] = from_[unsafe_offset=c]
                    loaded[u] = v
                elif column < d:
                    loaded[u] = from_.unsafe_load[width=width, alignment=16]()
            token += step_tokens
            piece += step
            if piece >= pieces:
                piece -= pieces
                token += 1
        var zero = after_all[width](loaded, a.n_tokens)
        comptime for u in range(AT_ONCE):
            if u < there:
                var v = bitcast[dtype, width](bitcast[DType.uint32, 4](loaded[u]) | zero)
                comptime if dtype == DType.float32:
                    var whole_v = v.cast[DType.float32]()
                    var high = rounded_to_tf32(whole_v)
                    to[u].unsafe_store[width=width, alignment=16](high.cast[dtype]())
                    to[u].unsafe_offset(Int(a.k0)).unsafe_store[width=width, alignment=16](
                        rounded_to_tf32(whole_v - high).cast[dtype]()
                    )
                else:
                    to[u].unsafe_store[width=width, alignment=16](v)
    # The router's matmul reads the copy through a tensor map.
    fence_async_global()
