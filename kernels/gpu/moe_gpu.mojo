"""The Hopper kernel as a Python extension module: addresses and numbers in, a launch on the caller's stream out.

Nothing is validated here; the Python wrapper checks tensors before it passes addresses.
"""

from std.memory import alloc, Layout as MemoryLayout
from std.os import abort
from std.python import Python, PythonObject
from std.python.bindings import PythonModuleBuilder
from max.gpu.host import DeviceAttribute, DeviceContext

from hopper.launch import Maps, RowMaps, SmallVariant, Variant, map_of
from hopper.layer import Layer
from hopper.memory import F32P, Global, I32P, U32P
from hopper.shape import FEW, GROUP_ROWS, MEDIUM, NARROW, Shape, WIDE
from hopper.small_shape import SMALL_SHAPES, small_shape

comptime BFLOAT16 = 0
comptime FLOAT16 = 1
comptime FLOAT32 = 2
comptime FIRST_SMALL = 4
"""Number of the first shape of the kernel for small layers."""


@export
def PyInit_moe_gpu() abi("C") -> PythonObject:
    """The module `moe_gpu`."""
    try:
        var module = PythonModuleBuilder("moe_gpu")
        module.def_function[open_device]("open_device")
        module.def_function[make_maps]("make_maps")
        module.def_function[compile_variant]("compile_variant")
        module.def_function[plan]("plan")
        module.def_function[forward]("forward")
        return module.finalize()
    except e:
        abort(String("the module moe_gpu could not be made: ", e))


@fieldwise_init
struct Device(Movable):
    """The device's context, the one PyTorch uses too, and its number of multiprocessors."""

    var ctx: DeviceContext
    var multiprocessors: Int


@fieldwise_init
struct Plan[dtype: DType](Movable):
    """What calls with the same number of tokens have in common."""

    var gated: Bool
    var shape: Int
    var variant: Int
    var maps: Int
    var device: Int
    var rows: Optional[RowMaps[Self.dtype]]
    """None in small layers, which fetch only weights through tensor maps."""
    var layer: Layer[Self.dtype]


def keep[T: Movable](var value: T) -> Int:
    """Puts a value where it stays for the life of the process, and returns its address."""
    var p = alloc(MemoryLayout[T](count=1)).unsafe_leak()
    p.unsafe_write(value^)
    return Int(p)


def kept[T: Movable](address: Int) -> Pointer[T, MutUntrackedOrigin]:
    """The value `keep` put there."""
    return Pointer[T, MutUntrackedOrigin](unsafe_from_address=address)


def open_device(index: PythonObject) raises -> PythonObject:
    """(device, multiprocessors) of GPU `index`."""
    var ctx = DeviceContext(device_id=Int(py=index))
    var count = ctx.get_attribute(DeviceAttribute.MULTIPROCESSOR_COUNT)
    return Python.tuple(keep(Device(ctx^, count)), count)


def make_maps(device: PythonObject, dtype: PythonObject, matrices: PythonObject) raises -> PythonObject:
    """The tensor maps of a layer.

    Args:
        device: From `open_device`.
        dtype: BFLOAT16, FLOAT16 or FLOAT32.
        matrices: (address, rows, columns) of the boxes, one under the other, of the router's, the first and the second weights.
    """
    ref d = kept[Device](Int(py=device))[]
    var which = Int(py=dtype)
    if which == BFLOAT16:
        return PythonObject(keep(maps_of[DType.bfloat16](d.ctx, matrices)))
    if which == FLOAT16:
        return PythonObject(keep(maps_of[DType.float16](d.ctx, matrices)))
    return PythonObject(keep(maps_of[DType.float32](d.ctx, matrices)))


def maps_of[dtype: DType](ctx: DeviceContext, m: PythonObject) raises -> Maps[dtype]:
    """The tensor maps over three matrices."""
    return Maps[dtype](
        map_of[dtype, GROUP_ROWS](ctx, Int(py=m[0]), Int(py=m[1]), Int(py=m[2])),
        map_of[dtype, GROUP_ROWS](ctx, Int(py=m[3]), Int(py=m[4]), Int(py=m[5])),
        map_of[dtype, GROUP_ROWS](ctx, Int(py=m[6]), Int(py=m[7]), Int(py=m[8])),
    )


def compile_variant(
    device: PythonObject, dtype: PythonObject, gated: PythonObject, shape: PythonObject
) raises -> PythonObject:
    """The address of a compiled variant. `shape`: 0 wide, 1 medium, 2 narrow, 3 few; from 4 on, those of the kernel for small
    layers (`small_shape`)."""
    ref d = kept[Device](Int(py=device))[]
    var dt = Int(py=dtype)
    var g = Int(py=gated) != 0
    var s = Int(py=shape)
    comptime for t in range(3):
        comptime for q in range(2):
            comptime for w in range(FIRST_SMALL):
                if dt == t and g == (q == 1) and s == w:
                    return PythonObject(keep(Variant[dtype_of[t](), q == 1, shape_of[w]()](d.ctx)))
            comptime if t != FLOAT32:
                comptime for w in range(SMALL_SHAPES):
                    if dt == t and g == (q == 1) and s == FIRST_SMALL + w:
                        return PythonObject(keep(SmallVariant[dtype_of[t](), q == 1, small_shape(w)](d.ctx)))
    raise Error("no such variant of the kernel")


def dtype_of[number: Int]() -> DType:
    """The dtype the wrapper means."""
    return DType.bfloat16 if number == BFLOAT16 else (DType.float16 if number == FLOAT16 else DType.float32)


def shape_of[number: Int]() -> Shape:
    """The shape the wrapper means."""
    return WIDE if number == 0 else (MEDIUM if number == 1 else (NARROW if number == 2 else FEW))


def plan(
    handles: PythonObject, addresses: PythonObject, sizes: PythonObject, scale: PythonObject
) raises -> PythonObject:
    """What calls with the same number of tokens have in common; the address is for `forward`.

    Args:
        handles: (dtype, gated, shape, variant, maps, device).
        addresses: Of a Layer's pointers, in its order; the first five are set anew by each call.
        sizes: A Layer's integers, in its order.
        scale: (c0, c1) of the activation.
    """
    var which = Int(py=handles[0])
    if which == BFLOAT16:
        return PythonObject(keep(plan_of[DType.bfloat16](handles, addresses, sizes, scale)))
    if which == FLOAT16:
        return PythonObject(keep(plan_of[DType.float16](handles, addresses, sizes, scale)))
    return PythonObject(keep(plan_of[DType.float32](handles, addresses, sizes, scale)))


def plan_of[
    dtype: DType
](handles: PythonObject, addresses: PythonObject, sizes: PythonObject, scale: PythonObject) raises -> Plan[dtype]:
    """A plan of a dtype."""
    var gated = Int(py=handles[1]) != 0
    var shape = Int(py=handles[2])
    var variant = Int(py=handles[3])
    ref d = kept[Device](Int(py=handles[5]))[]
    var layer = layer_of[dtype](addresses, sizes, scale)
    var rows: Optional[RowMaps[dtype]] = None
    if shape < FIRST_SMALL:
        rows = RowMaps[dtype].of(d.ctx, layer)
    return Plan[dtype](gated, shape, variant, Int(py=handles[4]), Int(py=handles[5]), rows^, layer)


def forward(which: PythonObject, address: PythonObject, call: PythonObject) raises -> PythonObject:
    """Enqueues one call.

    Args:
        which: The dtype.
        address: From `plan`.
        call: (stream, x, staged, outputs, ids, gates).
    """
    var dt = Int(py=which)
    comptime for t in range(3):
        if dt == t:
            enqueue[dtype_of[t]()](Int(py=address), call)
    return PythonObject(None)


def enqueue[dtype: DType](address: Int, call: PythonObject) raises:
    """Enqueues one call of a dtype."""
    ref p = kept[Plan[dtype]](address)[]
    ref d = kept[Device](p.device)[]
    var stream = d.ctx.create_external_stream(OpaquePointer[MutAnyOrigin](unsafe_from_address=Int(py=call[0])))
    p.layer.raw = Global[dtype](unsafe_from_address=Int(py=call[1]))
    var staged = Int(py=call[2])
    if staged != Int(p.layer.staged):
        p.layer.staged = Global[dtype](unsafe_from_address=staged)
        if p.rows:
            p.rows.value().see_staged(d.ctx, p.layer)
    p.layer.outputs = Global[dtype](unsafe_from_address=Int(py=call[3]))
    p.layer.ids = I32P(unsafe_from_address=Int(py=call[4]))
    p.layer.gates = F32P(unsafe_from_address=Int(py=call[5]))
    ref maps = kept[Maps[dtype]](p.maps)[]
    comptime for q in range(2):
        comptime for w in range(FIRST_SMALL):
            if p.gated == (q == 1) and p.shape == w:
                ref variant = kept[Variant[dtype, q == 1, shape_of[w]()]](p.variant)[]
                variant.launch(stream, maps, p.rows.value(), p.layer, d.multiprocessors)
        comptime if dtype != DType.float32:
            comptime for w in range(SMALL_SHAPES):
                if p.gated == (q == 1) and p.shape == FIRST_SMALL + w:
                    ref variant = kept[SmallVariant[dtype, q == 1, small_shape(w)]](p.variant)[]
                    variant.launch(stream, maps, p.layer)


def layer_of[dtype: DType](p: PythonObject, n: PythonObject, scale: PythonObject) raises -> Layer[dtype]:
    """A call's addresses and sizes, in the order of Layer's fields."""
    return Layer[dtype](
        raw=Global[dtype](unsafe_from_address=Int(py=p[0])),
        staged=Global[dtype](unsafe_from_address=Int(py=p[1])),
        outputs=Global[dtype](unsafe_from_address=Int(py=p[2])),
        ids=I32P(unsafe_from_address=Int(py=p[3])),
        gates=F32P(unsafe_from_address=Int(py=p[4])),
        router=Global[dtype](unsafe_from_address=Int(py=p[5])),
        router_bias=F32P(unsafe_from_address=Int(py=p[6])),
        b1=F32P(unsafe_from_address=Int(py=p[7])),
        b2=F32P(unsafe_from_address=Int(py=p[8])),
        sync=U32P(unsafe_from_address=Int(py=p[9])),
        finished=U32P(unsafe_from_address=Int(py=p[10])),
        logits=F32P(unsafe_from_address=Int(py=p[11])),
        histogram=I32P(unsafe_from_address=Int(py=p[12])),
        tokens=I32P(unsafe_from_address=Int(py=p[13])),
        sorted=Global[dtype](unsafe_from_address=Int(py=p[14])),
        position=I32P(unsafe_from_address=Int(py=p[15])),
        hidden=Global[dtype](unsafe_from_address=Int(py=p[16])),
        expert_out=Global[DType.uint8](unsafe_from_address=Int(py=p[17])),
        n_tokens=Int32(Int(py=n[0])),
        d_model=Int32(Int(py=n[1])),
        n_experts=Int32(Int(py=n[2])),
        top_k=Int32(Int(py=n[3])),
        staged_stride=Int32(Int(py=n[4])),
        sorted_stride=Int32(Int(py=n[5])),
        router_stride=Int32(Int(py=n[6])),
        logits_stride=Int32(Int(py=n[7])),
        hidden_stride=Int32(Int(py=n[8])),
        d_stride=Int32(Int(py=n[9])),
        k0=Int32(Int(py=n[10])),
        k1=Int32(Int(py=n[11])),
        rows1=Int32(Int(py=n[12])),
        tokens1=Int32(Int(py=n[13])),
        tokens2=Int32(Int(py=n[14])),
        splits=Int32(Int(py=n[15])),
        route=Int32(Int(py=n[16])),
        activation=Int32(Int(py=n[17])),
        renormalize=Int32(Int(py=n[18])),
        stage_inputs=Int32(Int(py=n[19])),
        c0=Float32(Float64(py=scale[0])),
        c1=Float32(Float64(py=scale[1])),
    )
