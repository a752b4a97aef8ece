"""Routing of few tokens without a barrier of the grid: logits and choices are words that tell when they are there.

The weights of the chosen experts cannot be asked for before, so what comes first is kept short. A block takes an expert
and publishes its logits. Of at most FEW_TOKENS tokens, every block then chooses and sorts for itself; of more, a block a
token chooses and publishes, and every block sorts all pairs (few_sort.mojo).
"""

from std.math import exp
from std.memory import bitcast
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim, lane_id
from max.gpu.compute.mma import mma
from max.gpu.sync import syncwarp

from hopper.few_words import load_two, load_word, store_words
from hopper.grid import CONSUMERS_BARRIER, START_BARRIER
from hopper.layer import Layer
from hopper.memory import U32P
from hopper.ptx import add_shared, after_all, broadcast, plus_zero, sum_over_warp, wait_barrier
from hopper.route import PER_LANE, dot, load_router, load_staged, rank_key, sum_of_exps, take_largest, value_of
from hopper.schedule import ceildiv, divide
from hopper.shape import Block, FEW_TOKENS, SOME_PAIRS, SOME_TOKENS, Shape

comptime LESS_PER_LANE = PER_LANE // 2
"""Experts a lane looks after where there are at most 128: no lane is idle, and a choice takes half as many instructions."""
comptime COPIES = 8
"""Copies of the logits that every block reads: of one, the L2 cache would hand out each line block by block."""


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


@inline(.always)
def choose_awaited[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], token: Int):
    """A warp: the experts of a token, once its logits are there."""
    if Int(a.n_experts) <= 32 * LESS_PER_LANE:
        choose_of_few[LESS_PER_LANE](a, block, token, await_keys[LESS_PER_LANE](a, block, token))
    else:
        choose_of_few[PER_LANE](a, block, token, await_keys[PER_LANE](a, block, token))


@inline(.always)
def choose_of_few[
    dtype: DType, shape: Shape, //, per: Int
](a: Layer[dtype], block: Block[dtype, shape], token: Int, own: SIMD[DType.uint32, per]):
    """A warp: as `choose_experts`, with each choice told to the others at once.

    An instruction that runs once costs as much as ten that run again, so all is written to be short.

    Parameters:
        dtype: Of the activations.
        shape: The compiled variant.
        per: Neighbouring experts a lane looks after.

    Args:
        a: The layer.
        block: The block; of few tokens, choices stay in its shared memory, and block 0 stores them for the caller. Of more
            they are published as words.
        token: The token.
        own: The keys of this lane's experts' logits; 0 beyond the last expert.
    """
    var lane = Int32(lane_id())
    var k = Int(a.top_k)
    var ids = a.ids.unsafe_offset(token * k)
    var gates = a.gates.unsafe_offset(token * k)
    var keys = own
    var largest = Float32(0)
    var total = Float32(0)
    var gate = Float32(0)
    # A lane a choice: what is only about its weight waits until all are known.
    var first = Int32(0)
    while first < a.top_k:
        var chosen = UInt32(0)
        var choices = min(Int32(32), a.top_k - first)
        for i in range(choices):
            var choice = take_largest[per](keys)
            chosen = choice.key if lane == i else chosen
            if choice.wins:
                var j = Int(first + i)
                comptime if shape.few():
                    block.few_ids()[unsafe_offset=token * k + j] = choice.id
                else:
                    publish_choice(a, block, token * k + j, choice.id)
                    ids[unsafe_offset=j] = choice.id
        if first == 0:
            largest = value_of(UInt32(broadcast(Int32(chosen), 0)))
        var here = lane < choices
        if here:
            # An infinity makes the weights NaN, as PyTorch's softmax does.
            gate = exp(value_of(chosen) - largest)
            comptime if not shape.few():
                if k > 32:
                    gates[unsafe_offset=Int(first + lane)] = gate
        total += sum_over_warp(gate if here else Float32(0))
        first += 32
    if a.renormalize == 0:
        total = sum_of_exps[per](own, largest)
    syncwarp()
    for j in range(Int(lane), k, 32):
        comptime if shape.few():
            gate /= total
            block.few_gates()[unsafe_offset=token * k + j] = gate
            if block_idx.x == 0:
                ids[unsafe_offset=j] = block.few_ids()[unsafe_offset=token * k + j]
                gates[unsafe_offset=j] = gate
        else:
            # The last is still in the lane.
            gates[unsafe_offset=j] = (gate if j + 32 >= k else gates[unsafe_offset=j]) / total
    syncwarp()


@inline(.always)
def publish_choice[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], pair: Int, id: Int32):
    """The expert of a pair, as a word for everybody."""
    var to = a.tokens.unsafe_bitcast[UInt32]().unsafe_offset(pair * 2)
    store_words[1](to, UInt32(id), block.launch()[unsafe_offset=0])


@inline(.always)
def logit_words[dtype: DType, //, shape: Shape](a: Layer[dtype], copy: Int, token: Int) -> U32P:
    """Where a token's logits lie as words."""
    comptime rows = FEW_TOKENS if shape.few() else 0
    return a.logits.unsafe_bitcast[UInt32]().unsafe_offset((copy * rows + token) * Int(a.logits_stride) * 2)


@inline(.always)
def await_keys[
    dtype: DType, shape: Shape, //, per: Int
](a: Layer[dtype], block: Block[dtype, shape], token: Int) -> SIMD[DType.uint32, per]:
    """The keys of a lane's experts' logits of a token, once they are there; 0 beyond the last expert."""
    var first = Int(lane_id()) * per
    var experts = Int(a.n_experts) - first
    var number = block.launch()[unsafe_offset=0]
    comptime copies = COPIES if shape.few() else 1
    var from_ = logit_words[shape](a, Int(block_idx.x) % copies, token).unsafe_offset(first * 2)
    var keys = SIMD[DType.uint32, per](0)
    var there = experts <= 0
    while not there:
        there = True
        var words = StaticTuple[SIMD[DType.uint32, 4], per // 2]()
        comptime for i in range(per // 2):
            words[i] = load_two(from_.unsafe_offset(4 * i))
        comptime for s in range(per):
            # A word beyond the last expert is nobody's.
            if s < experts:
                keys[s] = words[s // 2][s % 2 * 2]
                there = there and words[s // 2][s % 2 * 2 + 1] == number
    return keys


@inline(.always)
def await_choices[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int, threads: Int):
    """The experts that all tokens chose, into the window as they come in, and how many pairs each got."""
    comptime each = SOME_PAIRS // 128
    var pairs = Int(a.n_tokens) * Int(a.top_k)
    var number = block.launch()[unsafe_offset=0]
    var words = a.tokens.unsafe_bitcast[UInt32]()
    comptime for i in range(each):
        var p = i * threads + thread
        if p < pairs:
            var word = load_word(words.unsafe_offset(2 * p))
            while word[1] != number:
                word = load_word(words.unsafe_offset(2 * p))
            block.window()[unsafe_offset=p] = Int32(word[0])
            add_shared(block.table(0).unsafe_offset(Int(word[0])), 1)
