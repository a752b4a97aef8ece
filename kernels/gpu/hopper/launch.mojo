"""A prepared layer on the host: compiled kernel, tensor maps, and the choice of tiles for a number of tokens."""

from std.math import ceildiv
from std.sys import size_of
from max.gpu.host import DeviceAttribute, DeviceContext, DeviceFunction, DeviceStream, FuncAttribute
from max.gpu.host.launch_attribute import LaunchAttribute, LaunchAttributeID, LaunchAttributeValue
from max.gpu.host.nvidia.tma import TensorMapSwizzle
from layout import Coord, Idx, TileTensor, row_major
from layout.tma_async import TMATensorTile, create_tensor_tile

from hopper.kernel import moe_layer
from hopper.layer import Layer
from hopper.memory import Global
from hopper.shape import GROUP_ROWS, ROW_BYTES, Shape


def weight_map[
    dtype: DType
](ctx: DeviceContext, address: Int, rows: Int, columns: Int) raises -> type_of(
    create_tensor_tile[
        Coord(Idx[GROUP_ROWS], Idx[ROW_BYTES // size_of[dtype]()]), swizzle_mode=TensorMapSwizzle.SWIZZLE_128B
    ](
        ctx,
        TileTensor(
            Pointer[Scalar[dtype], MutAnyOrigin](unsafe_from_address=address),
            row_major(Coord(Int64(rows), Int64(columns))),
        ),
    )
):
    """A tensor map over a weight matrix [rows, columns], in boxes of 128 rows by 128 bytes."""
    return create_tensor_tile[
        Coord(Idx[GROUP_ROWS], Idx[ROW_BYTES // size_of[dtype]()]), swizzle_mode=TensorMapSwizzle.SWIZZLE_128B
    ](
        ctx,
        TileTensor(
            Pointer[Scalar[dtype], MutAnyOrigin](unsafe_from_address=address),
            row_major(Coord(Int64(rows), Int64(columns))),
        ),
    )


comptime Map[dtype: DType] = type_of(weight_map[dtype](DeviceContext(), 0, 0, 0))


@fieldwise_init
struct Maps[dtype: DType](Copyable, Movable):
    """The tensor maps of a layer's weights."""

    var router: Map[Self.dtype]
    var first: Map[Self.dtype]
    var second: Map[Self.dtype]


def compile[
    dtype: DType, gated: Bool, shape: Shape
](
    ctx: DeviceContext,
    out result: type_of(
        ctx.compile_function[moe_layer[dtype, gated, shape, Map[dtype].tile_shape, Map[dtype].desc_shape]]()
    ),
) raises:
    """Has the driver compile a variant of the kernel: 10 s the first time on a machine, then from its cache."""
    result = ctx.compile_function[moe_layer[dtype, gated, shape, Map[dtype].tile_shape, Map[dtype].desc_shape]](
        func_attribute=FuncAttribute.MAX_DYNAMIC_SHARED_SIZE_BYTES(UInt32(shape.shared_bytes()))
    )


struct Variant[dtype: DType, gated: Bool, shape: Shape](Movable):
    """A compiled variant of the kernel."""

    var function: type_of(compile[Self.dtype, Self.gated, Self.shape](DeviceContext()))

    def __init__(out self, ctx: DeviceContext) raises:
        self.function = compile[Self.dtype, Self.gated, Self.shape](ctx)

    def launch(self, stream: DeviceStream, maps: Maps[Self.dtype], layer: Layer[Self.dtype], blocks: Int) raises:
        """Enqueues one call on a stream; nothing waits."""
        var attributes = List[LaunchAttribute]()
        attributes.append(LaunchAttribute(LaunchAttributeID.COOPERATIVE, LaunchAttributeValue(True)))
        stream.enqueue_function(
            self.function,
            maps.router,
            maps.first,
            maps.second,
            layer,
            grid_dim=blocks,
            block_dim=Self.shape.threads(),
            shared_mem_bytes=Self.shape.shared_bytes(),
            attributes=attributes^,
        )
