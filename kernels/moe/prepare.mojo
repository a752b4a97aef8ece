"""From the user's weights to a `Layer`: one allocation, packed by all threads."""

from .format import LANES, PANEL, panel_bytes, panel_stride, step_stride
from .layer import Layer
from .memory import CACHE_LINE, Floats, allocate, at, round_up
from .pack import pack_column, pack_panel
from .pool import Pool, Task


@fieldwise_init
struct Weights(Copyable, ImplicitlyCopyable, Movable):
    """Addresses of the user's row-major tensors, all of the layer's dtype; 0 where there is none."""

    var router: Int  # [d_model, experts]
    var router_bias: Int  # [experts]
    var w1: Int  # [experts, d_model, d_ff]
    var b1: Int  # [experts, d_ff]
    var w2: Int  # [experts, d_ff, d_model]
    var b2: Int  # [experts, d_model]
    var w_gate: Int  # [experts, d_model, d_ff]


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
    var end = 0
    var router = _take(end, layer.router_panels() * layer.d_model * LANES * 4)
    var router_bias = _take(end, layer.router_panels() * LANES * 4)
    var first_bias = _take(end, layer.experts * layer.first_panels() * PANEL * 4)
    var second_bias = _take(end, layer.experts * layer.second_panels() * PANEL * 4)
    var first = _take(end, layer.experts * layer.first_panels() * panel_bytes[dtype](layer.d_model))
    var second = _take(end, layer.experts * layer.second_panels() * panel_bytes[dtype](layer.d_ff))
    layer.packed = allocate(end)
    layer.packed_bytes = end
    layer.router = layer.packed + router
    layer.router_bias = layer.packed + router_bias
    layer.first_bias = layer.packed + first_bias
    layer.second_bias = layer.packed + second_bias
    layer.first = layer.packed + first
    layer.second = layer.packed + second
    _pack_router[dtype](layer, weights)
    pool.lock()
    pool.run(PackExperts[dtype](layer, weights))
    pool.unlock()
    return layer^


def _take(mut end: Int, bytes: Int) -> Int:
    """The offset of a new piece of `bytes` bytes; `end` moves on to the next cache line."""
    var offset = end
    end = round_up(end + bytes, CACHE_LINE)
    return offset


def _pack_router[dtype: DType](layer: Layer, weights: Weights):
    """The router is float32 whatever the layer's dtype: it is small, and a wrong expert is a wrong output."""
    for p in range(layer.router_panels()):
        pack_column[dtype, DType.float32](
            at[Scalar[dtype]](weights.router),
            layer.d_model,
            layer.experts,
            p * LANES,
            at[UInt8](layer.router + p * layer.d_model * LANES * 4),
            0,
            LANES * 4,
        )
    var bias = at[Float32](layer.router_bias)
    for e in range(layer.router_panels() * LANES):
        bias[unsafe_offset=e] = _element[dtype](weights.router_bias, e, 0, layer.experts)


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
