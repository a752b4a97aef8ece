"""Where the packed panels of an expert's matrix lie."""

from .format import PANEL, panel_bytes, panel_stride, step_bytes, step_stride
from .layer import Layer
from .memory import Bytes, Floats, at


@fieldwise_init
struct Panels(Copyable, ImplicitlyCopyable, Movable):
    """The packed panels of one matrix of one expert, and the bias in their order."""

    var weights: Bytes
    var bias: Floats
    var panel_stride: Int  # bytes from one panel to the next
    var step_stride: Int  # bytes from one step of a panel to the next

    @staticmethod
    def router[dtype: DType](layer: Layer) -> Panels:
        """Those of the router, where AMX multiplies them."""
        return Panels(
            weights=at[UInt8](layer.router),
            bias=at[Float32](layer.router_bias),
            panel_stride=panel_bytes[dtype](layer.d_model),
            step_stride=step_bytes[dtype](),
        )

    @staticmethod
    def first[dtype: DType](layer: Layer, expert: Int) -> Panels:
        """Those of w1, or of w_gate beside w1."""
        var count = layer.first_panels()
        return Panels(
            weights=at[UInt8](layer.first + expert * count * panel_bytes[dtype](layer.d_model)),
            bias=at[Float32](layer.first_bias).unsafe_offset(expert * count * PANEL),
            panel_stride=panel_stride[dtype](layer.d_model),
            step_stride=step_stride[dtype](count),
        )

    @staticmethod
    def second[dtype: DType](layer: Layer, expert: Int) -> Panels:
        """Those of w2."""
        var count = layer.second_panels()
        return Panels(
            weights=at[UInt8](layer.second + expert * count * panel_bytes[dtype](layer.d_ff)),
            bias=at[Float32](layer.second_bias).unsafe_offset(expert * count * PANEL),
            panel_stride=panel_stride[dtype](layer.d_ff),
            step_stride=step_stride[dtype](count),
        )

    @always_inline
    def at(self, panel: Int, step: Int) -> Bytes:
        """Where a step of a panel begins."""
        return self.weights.unsafe_offset(panel * self.panel_stride + step * self.step_stride)
