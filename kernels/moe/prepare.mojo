"""From the user's weights to a `Layer`: one allocation, packed by all threads."""

from .amx import may_use_tiles
from .format import LANES, PANEL, panel_bytes, panel_stride, step_bytes, step_stride, tiled
from .layer import Layer
from .memory import CACHE_LINE, Floats, allocate, at, round_up
from .pack import pack_column, pack_panel
from .pool import Pool, Task


@fieldwise_init
struct Weights(Copyable, ImplicitlyCopyable, Movable):
    """Addresses of the user's row-major tensors; 0 where there is none.

    All are of the layer's dtype, but for the router's where it is float32, and the correction, which always is.
    """

    var router: Int  # [d_model, experts]
    var router_bias: Int  # [experts]
    var correction: Int  # [experts]
    var w1: Int  # [experts, d_model, d_ff]
    var b1: Int  # [experts, d_ff]
    var w2: Int  # [experts, d_ff, d_model]
    var b2: Int  # [experts, d_model]
    var w_gate: Int  # [experts, d_model, d_ff]
    var shared_w1: Int  # the same of the shared expert, without the dimension `experts`
    var shared_b1: Int
    var shared_w2: Int
    var shared_b2: Int
    var shared_w_gate: Int

    def of_shared_expert(self) -> Weights:
        """The shared expert's tensors as those of a layer of one expert."""
        var alone = self
        alone.w1 = self.shared_w1
        alone.b1 = self.shared_b1
        alone.w2 = self.shared_w2
        alone.b2 = self.shared_b2
        alone.w_gate = self.shared_w_gate
        return alone


def prepare[dtype: DType](pool: Pool, dimensions: Layer, weights: Weights) raises -> Layer:
    """The layer with its weights packed; `weights` may be freed afterwards.

    Parameters:
        dtype: Of the weights.

    Args:
        pool: Whose threads pack.
        dimensions: A layer whose dimensions and options are set, and nothing else.
        weights: Where the user's tensors are.

    Raises:
        When the system refuses the memory.
    """
    var layer = dimensions
    layer.tiles = may_use_tiles[dtype]()
    # Twice: first from address 0, to learn how much memory the pieces take together.
    layer.packed_bytes = _lay_out[dtype](layer, 0)
    layer.packed = allocate(layer.packed_bytes)
    _ = _lay_out[dtype](layer, layer.packed)
    if layer.float32_router:
        _pack_router[DType.float32](layer, weights)
    else:
        _pack_router[dtype](layer, weights)
    pool.lock()
    PackExperts[dtype](layer, weights).start()
    if layer.shared_d_ff > 0:
        PackExperts[dtype](layer.shared_expert(), weights.of_shared_expert()).start()
    pool.unlock()
    return layer^


def _lay_out[dtype: DType](mut layer: Layer, base: Int) -> Int:
    """The bytes from `base` to the end of the packed pieces, whose addresses are in the layer."""
    var end = base
    var tiled_panels = round_up(layer.experts, PANEL) // PANEL
    var router = tiled_panels * panel_bytes[dtype](layer.d_model)
    if not layer.tiled_router():
        router = layer.router_panels() * layer.d_model * LANES * 4
    layer.router = _take(end, router)
    layer.router_bias = _take(end, tiled_panels * PANEL * 4)
    layer.correction = _take(end, layer.router_panels() * LANES * 4)
    layer.first_bias = _take(end, layer.experts * layer.first_panels() * PANEL * 4)
    layer.second_bias = _take(end, layer.experts * layer.second_panels() * PANEL * 4)
    layer.first = _take(end, layer.experts * layer.first_panels() * panel_bytes[dtype](layer.d_model))
    layer.second = _take(end, layer.experts * layer.second_panels() * panel_bytes[dtype](layer.d_ff))
    if layer.shared_d_ff > 0:
        var alone = layer.shared_expert()
        layer.shared_first_bias = _take(end, alone.first_panels() * PANEL * 4)
        layer.shared_second_bias = _take(end, alone.second_panels() * PANEL * 4)
        layer.shared_first = _take(end, alone.first_panels() * panel_bytes[dtype](alone.d_model))
        layer.shared_second = _take(end, alone.second_panels() * panel_bytes[dtype](alone.d_ff))
    return end - base


def _take(mut end: Int, bytes: Int) -> Int:
    """The offset of a new piece of `bytes` bytes; `end` moves on to the next cache line."""
    var offset = end
    end = round_up(end + bytes, CACHE_LINE)
    return offset


def _pack_router[source: DType](layer: Layer, weights: Weights):
    """The packed router is float32 whatever the layer's dtype: it is small, and a wrong expert is a wrong output.

    But for AMX, whose products of bfloat16 are exact and summed in float32.
    """
    var matrix = at[Scalar[source]](weights.router)
    comptime if tiled[source]():
        if layer.tiled_router():
            var panels = round_up(layer.experts, PANEL) // PANEL
            for p in range(panels):
                var packed = at[UInt8](layer.router + p * panel_bytes[source](layer.d_model))
                pack_panel[source](
                    matrix,
                    p * PANEL,
                    matrix,
                    p * PANEL + LANES,
                    layer.d_model,
                    layer.experts,
                    packed,
                    step_bytes[source](),
                )
    for p in range(0 if layer.tiled_router() else layer.router_panels()):
        pack_column[source, DType.float32](
            matrix,
            layer.d_model,
            layer.experts,
            p * LANES,
            at[UInt8](layer.router + p * layer.d_model * LANES * 4),
            0,
            LANES * 4,
        )
    var bias = at[Float32](layer.router_bias)
    for e in range(round_up(layer.experts, PANEL)):
        bias[unsafe_offset=e] = _element[source](weights.router_bias, e, 0, layer.experts)
    for e in range(layer.router_panels() * LANES):
        at[Float32](layer.correction)[unsafe_offset=e] = _element[DType.float32](
            weights.correction, e, 0, layer.experts
        )


def _element[dtype: DType](tensor: Int, column: Int, row: Int, columns: Int) -> Float32:
    """An element of a [rows, columns] tensor; 0 where the tensor or the column does not exist."""
    if tensor == 0 or column >= columns:
        return 0
    return at[Scalar[dtype]](tensor)[unsafe_offset=row * columns + column].cast[DType.float32]()


@fieldwise_init
struct PackExperts[dtype: DType](Task):
    """Every expert's matrices and biases are packed."""

    var layer: Layer
    var weights: Weights

    def start(self):
        """Run on the whole pool."""
        var panels = self.layer.first_panels() + self.layer.second_panels()
        self.layer.pool.run(self, self.layer.experts * panels)

    def run(self, thread: Int):
        """Panel after panel of either matmul, until none is left."""
        var first = self.layer.first_panels()
        var panels = first + self.layer.second_panels()
        while True:
            var ticket = self.layer.pool.ticket()
            if ticket >= self.layer.experts * panels:
                return
            var panel = ticket % panels
            if panel < first:
                self._pack_first(ticket // panels, panel)
            else:
                self._pack_second(ticket // panels, panel - first)

    def _pack_first(self, expert: Int, panel: Int):
        var d = self.layer.d_model
        var f = self.layer.d_ff
        var index = expert * self.layer.first_panels() + panel
        var panels = self.layer.first_panels()
        var matrix = self.layer.first + expert * panels * panel_bytes[Self.dtype](d)
        var packed = at[UInt8](matrix + panel * panel_stride[Self.dtype](d))
        var stride = step_stride[Self.dtype](panels)
        var bias = at[Float32](self.layer.first_bias).unsafe_offset(index * PANEL)
        var up = at[Scalar[Self.dtype]](self.weights.w1).unsafe_offset(expert * d * f)
        var column = panel * self.layer.units_per_panel()
        if self.layer.gated:
            var gate = at[Scalar[Self.dtype]](self.weights.w_gate).unsafe_offset(expert * d * f)
            pack_panel[Self.dtype](gate, column, up, column, d, f, packed, stride)
            for lane in range(LANES):
                # The published form of the gate has no bias of its own: b1 belongs to w1.
                bias[unsafe_offset=lane] = 0
                bias[unsafe_offset=LANES + lane] = _element[Self.dtype](self.weights.b1, column + lane, expert, f)
        else:
            pack_panel[Self.dtype](up, column, up, column + LANES, d, f, packed, stride)
            for lane in range(PANEL):
                bias[unsafe_offset=lane] = _element[Self.dtype](self.weights.b1, column + lane, expert, f)

    def _pack_second(self, expert: Int, panel: Int):
        var d = self.layer.d_model
        var f = self.layer.d_ff
        var index = expert * self.layer.second_panels() + panel
        var panels = self.layer.second_panels()
        var base = self.layer.second + expert * panels * panel_bytes[Self.dtype](f)
        var packed = at[UInt8](base + panel * panel_stride[Self.dtype](f))
        var stride = step_stride[Self.dtype](panels)
        var bias = at[Float32](self.layer.second_bias).unsafe_offset(index * PANEL)
        var matrix = at[Scalar[Self.dtype]](self.weights.w2).unsafe_offset(expert * d * f)
        pack_panel[Self.dtype](matrix, panel * PANEL, matrix, panel * PANEL + LANES, f, d, packed, stride)
        for lane in range(PANEL):
            bias[unsafe_offset=lane] = _element[Self.dtype](self.weights.b2, panel * PANEL + lane, expert, d)
