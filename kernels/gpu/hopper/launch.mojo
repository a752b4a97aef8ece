"""A prepared layer on the host: compiled kernel, tensor maps, and the choice of tiles for a number of tokens."""

from std.math import ceildiv
from std.sys import size_of
from max.gpu.host import Dim, DeviceAttribute, DeviceContext, DeviceFunction, DeviceStream, FuncAttribute
from max.gpu.host.launch_attribute import LaunchAttribute, LaunchAttributeID, LaunchAttributeValue
from max.gpu.host.nvidia.tma import TensorMapSwizzle
from layout import Coord, Idx, TileTensor, row_major
from layout.tma_async import TMATensorTile, create_tensor_tile

from hopper.kernel import moe_layer, moe_layer_float32
from hopper.layer import Layer
from hopper.memory import Global
from hopper.shape import BOX_ROWS, GROUP_ROWS, ROW_BYTES, Shape
from hopper.small_kernel import small_layer
from hopper.small_shape import SmallShape, THREADS


def map_of[
    dtype: DType, box_rows: Int
](ctx: DeviceContext, address: Int, rows: Int, columns: Int) raises -> type_of(
    create_tensor_tile[
        Coord(Idx[box_rows], Idx[ROW_BYTES // size_of[dtype]()]), swizzle_mode=TensorMapSwizzle.SWIZZLE_128B
    ](
        ctx,
        TileTensor(
            Pointer[Scalar[dtype], MutAnyOrigin](unsafe_from_address=address),
            row_major(Coord(Int64(rows), Int64(columns))),
        ),
    )
):
    """A tensor map over a matrix [rows, columns], in boxes of `box_rows` rows by 128 bytes."""
    return create_tensor_tile[
        Coord(Idx[box_rows], Idx[ROW_BYTES // size_of[dtype]()]), swizzle_mode=TensorMapSwizzle.SWIZZLE_128B
    ](
        ctx,
        TileTensor(
            Pointer[Scalar[dtype], MutAnyOrigin](unsafe_from_address=address),
            row_major(Coord(Int64(rows), Int64(columns))),
        ),
    )


comptime Map[dtype: DType] = type_of(map_of[dtype, GROUP_ROWS](DeviceContext(), 0, 0, 0))
"""Over weights."""
comptime RowMap[dtype: DType] = type_of(map_of[dtype, BOX_ROWS](DeviceContext(), 0, 0, 0))
"""Over rows of activations."""


@fieldwise_init
struct Maps[dtype: DType](Copyable, Movable):
    """The tensor maps of a layer's weights."""

    var router: Map[Self.dtype]
    var first: Map[Self.dtype]
    var second: Map[Self.dtype]


@fieldwise_init
struct RowMaps[dtype: DType](Copyable, Movable):
    """The tensor maps of a call's activations."""

    var staged: RowMap[Self.dtype]
    var sorted: RowMap[Self.dtype]
    var hidden: RowMap[Self.dtype]

    @staticmethod
    def of(ctx: DeviceContext, a: Layer[Self.dtype]) raises -> Self:
        """The maps over the buffers of calls with so many tokens: 1 us each."""
        var pairs = Int(a.n_tokens) * Int(a.top_k)
        # Where rows are gathered there is nothing sorted, and no map over nothing: one that nobody reads through.
        var sorted = Int(a.sorted) if Int(a.sorted) != 0 else Int(a.hidden)
        return Self(
            map_of[Self.dtype, BOX_ROWS](ctx, Int(a.staged), Int(a.n_tokens), Int(a.staged_stride)),
            map_of[Self.dtype, BOX_ROWS](ctx, sorted, pairs, Int(a.sorted_stride)),
            map_of[Self.dtype, BOX_ROWS](ctx, Int(a.hidden), pairs, Int(a.hidden_stride)),
        )

    def see_staged(mut self, ctx: DeviceContext, a: Layer[Self.dtype]) raises:
        """The staged activations of a call lie elsewhere."""
        self.staged = map_of[Self.dtype, BOX_ROWS](ctx, Int(a.staged), Int(a.n_tokens), Int(a.staged_stride))


def attributes() -> List[LaunchAttribute]:
    """All blocks of a launch run at the same time, and begin where blocks of the launch before have ended: its last ones are
    waited for on the device, not for the launch."""
    return [
        LaunchAttribute(LaunchAttributeID.COOPERATIVE, LaunchAttributeValue(True)),
        LaunchAttribute(LaunchAttributeID.PROGRAMMATIC_STREAM_SERIALIZATION, LaunchAttributeValue(True)),
    ]


comptime Kernel[dtype: DType, gated: Bool, shape: Shape] = moe_layer_float32[
    dtype,
    gated,
    shape,
    Map[dtype].tile_shape,
    Map[dtype].desc_shape,
    RowMap[dtype].tile_shape,
    RowMap[dtype].desc_shape,
] if dtype == DType.float32 else moe_layer[
    dtype,
    gated,
    shape,
    Map[dtype].tile_shape,
    Map[dtype].desc_shape,
    RowMap[dtype].tile_shape,
    RowMap[dtype].desc_shape,
]


def compile[
    dtype: DType, gated: Bool, shape: Shape
](ctx: DeviceContext, out result: type_of(ctx.compile_function[Kernel[dtype, gated, shape]]()),) raises:
    """Has the driver compile a variant of the kernel: 10 s the first time on a machine, then from its cache."""
    result = ctx.compile_function[Kernel[dtype, gated, shape]](
        func_attribute=FuncAttribute.MAX_DYNAMIC_SHARED_SIZE_BYTES(UInt32(shape.shared_bytes()))
    )


struct Variant[dtype: DType, gated: Bool, shape: Shape](Movable):
    """A compiled variant of the kernel."""

    var function: type_of(compile[Self.dtype, Self.gated, Self.shape](DeviceContext()))

    def __init__(out self, ctx: DeviceContext) raises:
        self.function = compile[Self.dtype, Self.gated, Self.shape](ctx)

    def launch(
        self,
        stream: DeviceStream,
        maps: Maps[Self.dtype],
        rows: RowMaps[Self.dtype],
        layer: Layer[Self.dtype],
        blocks: Int,
    ) raises:
        """Enqueues one call on a stream; nothing waits."""
        stream.enqueue_function(
            self.function,
            maps.router,
            maps.first,
            maps.second,
            rows.staged,
            rows.sorted,
            rows.hidden,
            layer,
            grid_dim=blocks,
            block_dim=Self.shape.threads(),
            shared_mem_bytes=Self.shape.shared_bytes(),
            attributes=attributes(),
        )


def compile_small[
    dtype: DType, gated: Bool, shape: SmallShape
](
    ctx: DeviceContext,
    out result: type_of(
        ctx.compile_function[small_layer[dtype, gated, shape, Map[dtype].tile_shape, Map[dtype].desc_shape]]()
    ),
) raises:
    """Has the driver compile a variant of the kernel for small layers."""
    result = ctx.compile_function[small_layer[dtype, gated, shape, Map[dtype].tile_shape, Map[dtype].desc_shape]](
        func_attribute=FuncAttribute.MAX_DYNAMIC_SHARED_SIZE_BYTES(UInt32(shape.shared_bytes()))
    )


struct SmallVariant[dtype: DType, gated: Bool, shape: SmallShape](Movable):
    """A compiled variant of the kernel for small layers."""

    var function: type_of(compile_small[Self.dtype, Self.gated, Self.shape](DeviceContext()))

    def __init__(out self, ctx: DeviceContext) raises:
        self.function = compile_small[Self.dtype, Self.gated, Self.shape](ctx)

    def launch(self, stream: DeviceStream, maps: Maps[Self.dtype], layer: Layer[Self.dtype]) raises:
        """Enqueues one call on a stream: a block for each range of tokens, expert and slice of its features."""
        stream.enqueue_function(
            self.function,
            maps.first,
            maps.second,
            layer,
            grid_dim=ceildiv(Int(layer.n_tokens), Int(layer.tokens1)) * Int(layer.n_experts) * Int(layer.splits),
            block_dim=THREADS,
            cluster_dim=Dim(2 if Self.shape.paired else 1, 1, 1),
            shared_mem_bytes=Self.shape.shared_bytes(),
            attributes=attributes(),
        )
