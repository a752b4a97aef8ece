"""The choice of few tokens' experts, once their logits are there (few_logits.mojo).

Of at most FEW_TOKENS tokens, every block chooses for itself; of more, a block a token chooses and publishes, and every block
sorts all pairs (few_sort.mojo).
"""

from std.math import exp
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, lane_id
from max.gpu.sync import syncwarp

from hopper.few_logits import COPIES, logit_words
from hopper.few_words import load_two, load_word, store_words
from hopper.layer import Layer
from hopper.ptx import add_shared, broadcast, sum_over_warp
from hopper.route import PER_LANE, sum_of_exps, take_largest, value_of
from hopper.shape import Block, SOME_PAIRS, Shape

comptime LESS_PER_LANE = PER_LANE // 2
"""Experts a lane looks after where there are at most 128: no lane is idle, and a choice takes half as many instructions."""


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
