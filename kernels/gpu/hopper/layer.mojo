"""What one call of the layer is given: addresses and sizes, passed by value to the kernel."""

from std.builtin.device_passable import DevicePassable, DeviceTypeEncoder

from hopper.memory import F32P, Global, I32P, U32P

comptime RELU = 0
comptime SIGMOID_FORM = 1
"""x * sigmoid(x * (c0 + c1 x^2)): silu is (1, 0), gelu by tanh is (2 sqrt(2/pi), 2 sqrt(2/pi) 0.044715)."""
comptime GELU_ERF = 2

comptime ROUTE_BY_DOTS = 0
"""Warps of the whole grid share out the (expert, token) products: few tokens."""
comptime ROUTE_BY_TILES = 1
"""The router is one more matmul on the tensor cores: many tokens."""


@fieldwise_init
struct Layer[dtype: DType](DevicePassable, TrivialRegisterPassable):
    """Addresses and sizes of one call.

    The weights of the matmuls are not here: they are reached through tensor maps. Rows of the staged activations, of
    the hidden activations and of the expert outputs are padded, so that no matmul masks its K or its features.

    Parameters:
        dtype: Of the activations: bfloat16, float16 or float32.
    """

    comptime device_type: AnyType = Self

    var raw: Global[Self.dtype]
    """The caller's activations [T, d]."""
    var staged: Global[Self.dtype]
    """The activations the matmuls read, [T, staged_stride]: the caller's own, or a padded (float32: split) copy."""
    var outputs: Global[Self.dtype]
    """The caller's output [T, d]."""
    var ids: I32P
    """Chosen experts [T, k]."""
    var gates: F32P
    """Their weights [T, k]."""
    var router: Global[Self.dtype]
    """Router weights [E, router_stride], zero beyond d."""
    var router_bias: F32P
    var b1: F32P
    var b2: F32P
    var sync: U32P
    """The grid barrier's word."""
    var finished: U32P
    """How many tiles of the first matmul have been written, for each expert's blocks of rows."""
    var logits: F32P
    """[T, logits_stride]; where the router cuts its K, two of them."""
    var histogram: I32P
    """Pairs per expert of each block's tokens [blocks, E]."""
    var tokens: I32P
    """The token of each pair, pairs sorted by expert [T k]; only where the first matmul's rows are gathered."""
    var sorted: Global[Self.dtype]
    """The staged activations of each pair, sorted by expert [T k, sorted_stride]; null where they are gathered."""
    var position: I32P
    """The sorted position of pair t k + j [T k]."""
    var hidden: Global[Self.dtype]
    """Hidden activations in sorted order [T k, hidden_stride]; in small layers the second set of parts."""
    var expert_out: Pointer[UInt8, MutUntrackedOrigin]
    """Expert outputs in sorted order [splits, T k, d_stride], in dtype or float32; in small layers the first set of
    parts."""

    var n_tokens: Int32
    var d_model: Int32
    var n_experts: Int32
    var top_k: Int32
    var staged_stride: Int32
    var sorted_stride: Int32
    var router_stride: Int32
    var logits_stride: Int32
    var hidden_stride: Int32
    var d_stride: Int32
    var k0: Int32
    """K of the first matmul and of the router: d padded to 64."""
    var k1: Int32
    """K of the second matmul: f padded to 64."""
    var rows1: Int32
    """Weight rows an expert has in the first matmul: f padded (twice that when gated)."""
    var tokens1: Int32
    """Most tokens a tile of the first matmul takes: a multiple of 16 (or 8)."""
    var tokens2: Int32
    """Most tokens a tile of the second matmul takes."""
    var splits: Int32
    """Parts into which the second matmul cuts its K."""
    var route: Int32
    var activation: Int32
    var renormalize: Int32
    var stage_inputs: Int32
    """Whether `staged` must be filled from `raw`."""
    var c0: Float32
    var c1: Float32

    def _to_device_type(self, mut encoder: Some[DeviceTypeEncoder], target: MutOpaquePointer[_]):
        encoder.encode(self, target)

    @staticmethod
    def get_type_name() -> String:
        """The name shown in errors of a launch."""
        return "Layer"
