"""Which experts a token goes to, and with what weight: logits, softmax over all experts, top-k."""

from std.math import exp
from std.memory import bitcast

from .format import LANES, TILE_ROWS, Vec
from .layer import Layer
from .memory import Address, Bytes, Floats, Ints, at
from .pool import Task
from .tile import group_of, tile_of
from .workspace import Workspace

comptime Keys = SIMD[DType.int32, LANES]
comptime TAKEN = Int32.MIN
comptime NAN_KEY = Int32.MAX
# Below this many multiply-adds a second thread gains less than the 0.3 us that waking it takes.
comptime ALONE = 1 << 15


@fieldwise_init
struct Route[dtype: DType](Task):
    """The expert ids and weights of every token are in the workspace."""

    var layer: Layer
    var work: Workspace

    def start(self):
        """Run on the whole pool, or alone when that is quicker."""
        if self.work.tokens * self.layer.d_model * self.layer.experts <= ALONE:
            self.layer.pool.run_alone(self)
        else:
            self.layer.pool.run(self)

    def run(self, thread: Int):
        """Tile after tile of tokens, until none is left."""
        var logits = at[Float32](self.work.sums + thread * self.work.sums_per_thread)
        while True:
            var first = self.layer.pool.ticket() * TILE_ROWS
            if first >= self.work.tokens:
                return
            var count = min(TILE_ROWS, self.work.tokens - first)
            self._logits(first, count, logits)
            for i in range(count):
                select_experts(
                    logits.unsafe_offset(i * self.work.ld_logits),
                    self.layer.experts,
                    self.layer.top_k,
                    self.layer.renormalize,
                    at[Int32](self.work.ids).unsafe_offset((first + i) * self.layer.top_k),
                    at[Float32](self.work.weights).unsafe_offset((first + i) * self.layer.top_k),
                )

    def _logits(self, first: Int, count: Int, logits: Floats):
        """`logits` [count, ld_logits] of the tokens from `first` on, in float32 whatever the layer's dtype."""
        var x = at[Scalar[Self.dtype]](self.work.x).unsafe_offset(first * self.layer.d_model)
        var rows: Floats
        var ld_rows: Int
        comptime if Self.dtype == DType.float32:
            rows = x.unsafe_bitcast[Float32]()
            ld_rows = self.layer.d_model
        else:
            rows = logits.unsafe_offset(TILE_ROWS * self.work.ld_logits)
            ld_rows = self.work.ld_rows
            for i in range(count):
                for j in range(self.layer.d_model):
                    rows[unsafe_offset=i * ld_rows + j] = x[unsafe_offset=i * self.layer.d_model + j].cast[
                        DType.float32
                    ]()
        var panels = self.layer.router_panels()
        var panel_bytes = self.layer.d_model * LANES * 4
        var group = group_of[1](count)
        var p = 0
        while p < panels:
            var weights = at[UInt8](self.layer.router + p * panel_bytes)
            var bias = at[Float32](self.layer.router_bias).unsafe_offset(p * LANES)
            var target = logits.unsafe_offset(p * LANES)
            if p + group <= panels:
                tile_of[DType.float32, 1, True](
                    count,
                    self.layer.d_model,
                    rows,
                    ld_rows,
                    weights,
                    panel_bytes,
                    4 * LANES,
                    bias,
                    0,
                    target,
                    self.work.ld_logits,
                )
                p += group
            else:
                tile_of[DType.float32, 1, False](
                    count,
                    self.layer.d_model,
                    rows,
                    ld_rows,
                    weights,
                    panel_bytes,
                    4 * LANES,
                    bias,
                    0,
                    target,
                    self.work.ld_logits,
                )
                p += 1


@always_inline
def order_keys(logits: Vec) -> Keys:
    """Integers in the order of the logits: -0 equals 0, and NaN is above everything.

    A float's bits order positive numbers; flipping all but the sign of a negative one orders those too.
    """
    var bits = bitcast[DType.int32, LANES](logits + 0)
    var keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return logits.ne(logits).select(Keys(NAN_KEY), keys)


def select_experts(logits: Floats, experts: Int, top_k: Int, renormalize: Bool, ids: Ints, weights: Floats):
    """`ids` and `weights` [top_k] are the chosen experts, best logit first, ties to the lowest id.

    The choice is by logit, which orders experts as their probabilities do but is not flattened by underflow. A NaN
    logit ranks first and makes all of the token's weights NaN, as does +inf, and -inf everywhere: the ids stay distinct
    and in range, and the token's output becomes NaN.

    Args:
        logits: [experts rounded up to LANES]; overwritten.
        experts: How many are real.
        top_k: How many are chosen; at most `experts`.
        renormalize: Whether the chosen weights sum to 1, rather than all experts' probabilities.
        ids: Where the chosen ids go.
        weights: Where their weights go.
    """
    var padded = (experts + LANES - 1) // LANES * LANES
    var keys = logits.unsafe_bitcast[Int32]()
    for e in range(experts, padded):
        logits[unsafe_offset=e] = Float32.MIN
    var highest = Vec(Float32.MIN)
    for e in range(0, padded, LANES):
        highest = max(highest, logits.unsafe_load[width=LANES](e))
    var top = highest.reduce_max()
    var total = Vec(0)
    if not renormalize:
        for e in range(0, padded, LANES):
            total += exp(logits.unsafe_load[width=LANES](e) - top)
    for e in range(0, padded, LANES):
        keys.unsafe_store(e, order_keys(logits.unsafe_load[width=LANES](e)))
    for e in range(experts, padded):
        keys[unsafe_offset=e] = TAKEN

    for rank in range(top_k):
        var best = Keys(TAKEN)
        for e in range(0, padded, LANES):
            best = max(best, keys.unsafe_load[width=LANES](e))
        var key = best.reduce_max()
        var id = 0
        while keys[unsafe_offset=id] != key:
            id += 1
        ids[unsafe_offset=rank] = Int32(id)
        weights[unsafe_offset=rank] = _logit(key)
        keys[unsafe_offset=id] = TAKEN

    var sum = Float32(0)
    for rank in range(top_k):
        var share = exp(weights[unsafe_offset=rank] - top)
        weights[unsafe_offset=rank] = share
        sum += share
    if not renormalize:
        sum = total.reduce_add()
    for rank in range(top_k):
        weights[unsafe_offset=rank] = weights[unsafe_offset=rank] / sum


@always_inline
def _logit(key: Int32) -> Float32:
    """The logit that `order_keys` made `key` of; NAN_KEY is the bits of a NaN already."""
    return bitcast[DType.float32, 1](key ^ ((key >> 31) & 0x7FFFFFFF))
