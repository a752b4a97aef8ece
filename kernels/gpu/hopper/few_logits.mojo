"""Logits of few tokens, without a barrier of the grid: words that tell when they are there (few_words.mojo).

The weights of the chosen experts cannot be asked for before, so what comes first is kept short.
"""

from std.memory import bitcast
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim, lane_id
from max.gpu.compute.mma import mma

from hopper.few_words import store_words
from hopper.grid import CONSUMERS_BARRIER, START_BARRIER
from hopper.layer import Layer
from hopper.memory import U32P
from hopper.ptx import after_all, plus_zero, sum_over_warp, wait_barrier
from hopper.route import dot, load_router, load_staged, rank_key
from hopper.schedule import ceildiv, divide
from hopper.shape import Block, FEW_TOKENS, SOME_TOKENS, Shape

comptime COPIES = 8
"""Copies of the logits that every block reads: of one, the L2 cache would hand out each line block by block."""


@inline(.always)
def logit_words[dtype: DType, //, shape: Shape](a: Layer[dtype], copy: Int, token: Int) -> U32P:
    """Where a token's logits lie as words."""
    comptime rows = FEW_TOKENS if shape.few() else 0
    return a.logits.unsafe_bitcast[UInt32]().unsafe_offset((copy * rows + token) * Int(a.logits_stride) * 2)


@inline(.always)
def publish_logits[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int):
    """This block's experts' logits of all tokens, as words for everybody: their keys. Meets the producers once.

    Many loads are in flight, for one takes 0.7 us: no branch stands between them, where each would be waited for.
    """
    comptime threads = shape.consumers * 128
    comptime together = 1 if shape.few() else 8
    comptime AT_ONCE = 4 if shape.few() else 2
    comptime most = FEW_TOKENS if shape.few() else SOME_TOKENS
    comptime copies = COPIES if shape.few() else 1
    var warp = thread // 32
    var tokens = Int(a.n_tokens)
    var k = Int(a.k0)
    var e = Int(block_idx.x)
    var odd = 0
    var met = False
    while e < Int(a.n_experts) or not met:
        # Two experts in turn: what is read of one is never written for the next.
        var parts = block.logit_parts().unsafe_offset(odd * (most * threads // 32))
        # Blocks begin at different tokens: a line that all of them ask for at once, the L2 cache hands out block by block,
        # some 20 cycles each (32 tokens of 2048: 17,000 cycles, not 28,000).
        var groups = ceildiv(tokens, together)
        var group = Int(block_idx.x) - divide(Int(block_idx.x), groups) * groups
        for _ in range(groups if e < Int(a.n_experts) else 0):
            var token = group * together
            group = group + 1 if group + 1 < groups else 0
            var sums = SIMD[DType.float32, together](0)
            for first in range(thread * 8, k, threads * 8 * AT_ONCE):
                var w = StaticTuple[SIMD[dtype, 8], AT_ONCE]()
                var x = StaticTuple[SIMD[dtype, 8], together * AT_ONCE]()
                comptime for u in range(AT_ONCE):
                    var column = min(first + u * threads * 8, k - 8)
                    w[u] = load_router(a, e, column)
                    comptime for t in range(together):
                        x[together * u + t] = load_staged(a, min(token + t, tokens - 1), column)
                sums = plus_zero[together](sums, after_all[8](w, a.n_tokens) | after_all[8](x, a.n_tokens))
                comptime for u in range(AT_ONCE):
                    if first + u * threads * 8 < k:
                        comptime for t in range(together):
                            sums[t] += dot(w[u], x[together * u + t])
            comptime for t in range(together):
                var sum = sum_over_warp(sums[t])
                # Beyond the last token, the last again.
                if thread % 32 == 0:
                    parts[unsafe_offset=min(token + t, tokens - 1) * (threads // 32) + warp] = sum
        if met:
            wait_barrier[CONSUMERS_BARRIER](threads)
        else:
            # The producers have learned the launch's number meanwhile.
            wait_barrier[START_BARRIER](shape.threads())
        met = True
        var token = thread // copies
        if token < tokens and e < Int(a.n_experts):
            var four = parts.unsafe_offset(token * (threads // 32)).unsafe_load[width=threads // 32, alignment=16]()
            var logit = four.reduce_add()
            if Int(a.router_bias) != 0:
                logit += a.router_bias[unsafe_offset=e]
            var to = logit_words[shape](a, thread - token * copies, token).unsafe_offset(e * 2)
            store_words[1](to, rank_key(logit), block.launch()[unsafe_offset=0])
        odd = 1 - odd
        e += Int(grid_dim.x)


@inline(.always)
def publish_products[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int):
    """The same on the tensor cores, eight experts of four tokens a block: of 32 tokens of 2048, a block an expert read all rows
    and took 17,000 cycles.

    A product takes 64 columns: the left operand has the experts' first 32 in its upper and the others in its lower half, the
    right one the tokens' likewise, so that the answers are in two of its four quarters. Lane q of four loads the columns
    from 8 q on: the order of the columns within a product does not matter.
    """
    comptime threads = shape.consumers * 128
    comptime Words = SIMD[DType.uint32, 4]
    comptime AT_ONCE = 8
    var lane = Int(lane_id())
    var warp = thread // 32
    var q = lane % 4
    var row = lane // 4
    var tokens = Int(a.n_tokens)
    var experts = Int(a.n_experts)
    var units = Int(a.k0) // 64
    var groups = ceildiv(experts, 8)
    var items = groups * ceildiv(tokens, 4)
    var item = Int(block_idx.x)
    var odd = 0
    var met = False
    while item < items or not met:
        # Two parts in turn: what is read of one is never written for the next.
        var parts = block.logit_parts().unsafe_offset(odd * 256)
        var token = divide(item, groups)
        var expert = (item - token * groups) * 8
        token *= 4
        if item < items:
            var w = a.router.unsafe_offset(min(expert + row, experts - 1) * Int(a.router_stride) + q * 8)
            var x = a.staged.unsafe_offset(
                min(token + row % 4, tokens - 1) * Int(a.staged_stride) + row // 4 * 32 + q * 8
            )
            var sums = StaticTuple[SIMD[DType.float32, 4], 4](SIMD[DType.float32, 4](0))
            for first in range(warp, units, threads // 32 * AT_ONCE):
                var upper = StaticTuple[Words, AT_ONCE]()
                var lower = StaticTuple[Words, AT_ONCE]()
                var right = StaticTuple[Words, AT_ONCE]()
                comptime for u in range(AT_ONCE):
                    var column = min(first + u * (threads // 32), units - 1) * 64
                    upper[u] = w.unsafe_offset(column).unsafe_bitcast[UInt32]().unsafe_load[width=4, alignment=16]()
                    lower[u] = (
                        w.unsafe_offset(column + 32).unsafe_bitcast[UInt32]().unsafe_load[width=4, alignment=16]()
                    )
                    right[u] = x.unsafe_offset(column).unsafe_bitcast[UInt32]().unsafe_load[width=4, alignment=16]()
                var zero = (
                    after_all[4](upper, a.n_tokens) | after_all[4](lower, a.n_tokens) | after_all[4](right, a.n_tokens)
                )
                comptime for s in range(4):
                    sums[s] = plus_zero[4](sums[s], zero)
                comptime for u in range(AT_ONCE):
                    if first + u * (threads // 32) < units:
                        var top = upper[u]
                        var bottom = lower[u]
                        var other = right[u]
                        comptime for half in range(2):
                            comptime s = (2 * u + half) % 4
                            var d = sums[s]
                            mma(
                                d,
                                bitcast[dtype, 8](
                                    Words(top[2 * half], bottom[2 * half], top[2 * half + 1], bottom[2 * half + 1])
                                ),
                                bitcast[dtype, 4](SIMD[DType.uint32, 2](other[2 * half], other[2 * half + 1])),
                                d,
                            )
                            sums[s] = d
            var sum = (sums[0] + sums[1]) + (sums[2] + sums[3])
            # Lanes 0 and 1 of four have the answers of the upper half, 2 and 3 those of the lower: of two tokens each.
            comptime for side in range(2):
                var at = (row * 4 + q % 2 * 2 + side) * 8 + warp * 2 + q // 2
                parts[unsafe_offset=at] = sum[side] if q < 2 else sum[2 + side]
        if met:
            wait_barrier[CONSUMERS_BARRIER](threads)
        else:
            # The producers have learned the launch's number meanwhile.
            wait_barrier[START_BARRIER](shape.threads())
        met = True
        var e = expert + thread % 8
        token += thread // 8
        if thread < 32 and item < items and e < experts and token < tokens:
            var eight = parts.unsafe_offset((thread % 8 * 4 + thread // 8) * 8).unsafe_load[width=8, alignment=16]()
            var logit = eight.reduce_add()
            if Int(a.router_bias) != 0:
                logit += a.router_bias[unsafe_offset=e]
            var to = logit_words[shape](a, 0, token).unsafe_offset(e * 2)
            store_words[1](to, rank_key(logit), block.launch()[unsafe_offset=0])
        odd = 1 - odd
        item += Int(grid_dim.x)
