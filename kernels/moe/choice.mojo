"""Which experts a token goes to, and with what weight, once its logits are known."""

from std.math import exp, iota
from std.memory import bitcast

from .format import LANES, Vec
from .layer import Layer
from .memory import Floats, Ints, at

comptime SOFTMAX = 0
comptime SIGMOID = 1

comptime TAKEN = Int32.MIN
comptime NAN_KEY = Int32.MAX


def choose_experts(layer: Layer, logits: Floats, keys: Ints, worth: Ints, ids: Ints, weights: Floats):
    """`ids` and `weights` [top_k] are the chosen experts, best first, ties to the lowest id.

    A softmax router chooses by logit, which orders experts as their probabilities do but is not flattened by underflow;
    a sigmoid router by score plus correction, within its best groups. A NaN ranks first and makes all of the token's
    weights NaN, as does -inf everywhere, and +inf under softmax: the ids stay distinct and in range, and the token's
    output becomes NaN.

    Args:
        layer: Whose router it is.
        logits: [experts rounded up to LANES]; what is beyond the experts is overwritten.
        keys: Room for as many.
        worth: Room for as many.
        ids: Where the chosen ids go.
        weights: Where their weights go.
    """
    var padded = layer.router_panels() * LANES
    for e in range(0, padded, LANES):
        # Whole vectors: one that is read soon after a part of it was written waits until the writing has reached L1.
        var exists = (iota[DType.int32, LANES]() + Int32(e)).lt(Int32(layer.experts))
        var values = exists.select(logits.unsafe_load[width=LANES](e), Vec(Float32.MIN))
        logits.unsafe_store(e, values)
        if layer.router_kind == SIGMOID:
            values = sigmoid(values) + at[Float32](layer.correction).unsafe_load[width=LANES](e)
        keys.unsafe_store(e, exists.select(order_keys(values), SIMD[DType.int32, LANES](TAKEN)))
    if layer.router_kind == SIGMOID and layer.top_groups < layer.groups:
        _close_groups(layer, keys, worth)
    _take_best(keys, padded, layer.top_k, ids)
    if layer.router_kind == SIGMOID:
        _weigh_by_sigmoid(layer, logits, ids, weights)
    else:
        _weigh_by_softmax(layer, logits, ids, weights)


def add_shares(layer: Layer, logits: Floats, shares: Floats):
    """`shares` [experts] grows by how the router spreads this token over all experts; its own sum to 1."""
    var padded = layer.router_panels() * LANES
    var top = _highest(logits, padded)
    var total = Vec(0)
    for e in range(0, padded, LANES):
        total += _share(layer, logits.unsafe_load[width=LANES](e), top)
    var scale = 1 / total.reduce_add()
    for e in range(0, padded, LANES):
        var share = _share(layer, logits.unsafe_load[width=LANES](e), top)
        shares.unsafe_store(e, shares.unsafe_load[width=LANES](e) + scale * share)


@always_inline
def _share(layer: Layer, logits: Vec, top: Float32) -> Vec:
    return sigmoid(logits) if layer.router_kind == SIGMOID else exp(logits - top)


@always_inline
def sigmoid[width: Int](x: SIMD[DType.float32, width]) -> SIMD[DType.float32, width]:
    """1 / (1 + exp(-x)) without an exponential that overflows; NaN stays NaN."""
    return exp(min(x, 0)) / (1 + exp(-abs(x)))


@always_inline
def order_keys[width: Int](values: SIMD[DType.float32, width]) -> SIMD[DType.int32, width]:
    """Integers in the order of the values: -0 equals 0, and NaN is above everything.

    A float's bits order positive numbers; flipping all but the sign of a negative one orders those too.
    """
    var bits = bitcast[DType.int32, width](values + 0)
    var keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return values.ne(values).select(SIMD[DType.int32, width](NAN_KEY), keys)


@always_inline
def _value(key: Int32) -> Float32:
    """The value that `order_keys` made `key` of; NAN_KEY is the bits of a NaN already."""
    return bitcast[DType.float32, 1](key ^ ((key >> 31) & 0x7FFFFFFF))


def _close_groups(layer: Layer, keys: Ints, worth: Ints):
    """Experts outside of the best groups are taken. A group is worth the sum of its two best, ties to the lowest id."""
    var size = layer.experts // layer.groups
    for g in range(layer.groups):
        var best = TAKEN
        var second = TAKEN
        for e in range(g * size, (g + 1) * size):
            var key = keys[unsafe_offset=e]
            if key > best:
                second = best
                best = key
            elif key > second:
                second = key
        worth[unsafe_offset=g] = order_keys[1](_value(best) + (_value(second) if size > 1 else 0))
    for _ in range(layer.top_groups):
        var best = 0
        for g in range(1, layer.groups):
            if worth[unsafe_offset=g] > worth[unsafe_offset=best]:
                best = g
        worth[unsafe_offset=best] = TAKEN
    for g in range(layer.groups):
        if worth[unsafe_offset=g] != TAKEN:
            for e in range(g * size, (g + 1) * size):
                keys[unsafe_offset=e] = TAKEN


def _take_best(keys: Ints, padded: Int, top_k: Int, ids: Ints):
    """`ids` [top_k] are the places of the largest keys, which are taken."""
    comptime Keys = SIMD[DType.int32, LANES]
    var lanes = iota[DType.int32, LANES]()
    if padded == LANES:
        var left = keys.unsafe_load[width=LANES](0)
        for rank in range(top_k):
            var id = left.eq(left.reduce_max()).select(lanes, Keys(LANES)).reduce_min()
            ids[unsafe_offset=rank] = id
            left = lanes.eq(id).select(Keys(TAKEN), left)
        return
    for rank in range(top_k):
        var best = Keys(TAKEN)
        var places = lanes
        for e in range(0, padded, LANES):
            var here = keys.unsafe_load[width=LANES](e)
            # Strictly greater: each lane keeps its first place, and the lowest of those is the lowest of all.
            places = here.gt(best).select(lanes + Int32(e), places)
            best = max(best, here)
        var id = best.eq(best.reduce_max()).select(places, Keys(Int32.MAX)).reduce_min()
        ids[unsafe_offset=rank] = id
        var start = Int(id) // LANES * LANES
        var left = keys.unsafe_load[width=LANES](start)
        keys.unsafe_store(start, (lanes + Int32(start)).eq(id).select(Keys(TAKEN), left))


def _highest(logits: Floats, padded: Int) -> Float32:
    var highest = Vec(Float32.MIN)
    for e in range(0, padded, LANES):
        highest = max(highest, logits.unsafe_load[width=LANES](e))
    return highest.reduce_max()


def _weigh_by_softmax(layer: Layer, logits: Floats, ids: Ints, weights: Floats):
    """Each chosen expert's share of the chosen ones' probability, or of all experts'."""
    # The best expert has the largest logit, or a NaN.
    var top = logits[unsafe_offset=Int(ids[unsafe_offset=0])]
    var sum = Float32(0)
    for rank in range(layer.top_k):
        var share = exp(logits[unsafe_offset=Int(ids[unsafe_offset=rank])] - top)
        weights[unsafe_offset=rank] = share
        sum += share
    if not layer.renormalize:
        var total = Vec(0)
        for e in range(0, layer.router_panels() * LANES, LANES):
            total += exp(logits.unsafe_load[width=LANES](e) - top)
        sum = total.reduce_add()
    for rank in range(layer.top_k):
        weights[unsafe_offset=rank] = weights[unsafe_offset=rank] / sum * layer.scaling


def _weigh_by_sigmoid(layer: Layer, logits: Floats, ids: Ints, weights: Floats):
    """Each chosen expert's score, or its share of the chosen ones' scores.

    Shares are of scores that are all multiplied by exp(-shift), which cancels: the largest never underflows.
    """
    var shift = Float32(0)
    if layer.renormalize:
        shift = Float32.MIN
        for rank in range(layer.top_k):
            shift = max(shift, min(logits[unsafe_offset=Int(ids[unsafe_offset=rank])], 0))
    var sum = Float32(0)
    for rank in range(layer.top_k):
        var logit = logits[unsafe_offset=Int(ids[unsafe_offset=rank])]
        var score = exp(min(logit, 0) - shift) / (1 + exp(-abs(logit)))
        weights[unsafe_offset=rank] = score
        sum += score
    for rank in range(layer.top_k):
        var share = weights[unsafe_offset=rank] / sum if layer.renormalize else weights[unsafe_offset=rank]
        weights[unsafe_offset=rank] = share * layer.scaling
