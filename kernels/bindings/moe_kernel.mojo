"""The kernel as a Python extension module: addresses and numbers in, memory written.

Nothing is validated here but what only this side can see; the Python wrapper checks tensors before it passes addresses.
"""

from std.os import abort
from std.python import Python, PythonObject
from std.python._cpython import GILReleased
from std.python.bindings import PythonModuleBuilder
from std.sys import size_of

from moe.ablation import D_FF, D_MODEL, DTYPE, EVERY, ONE_THREAD
from moe.amx import may_use_tiles
from moe.format import LANES, PANEL, TILE_ROWS, paired
from moe.forward import forward
from moe.layer import Layer
from moe.memory import allocate, at, release
from moe.pool import Pool
from moe.prepare import Weights, prepare

# The wrapper passes a dtype's place in this list.
comptime DTYPES = [DType.float32, DType.bfloat16, DType.float16]


@export
def PyInit_moe_kernel() abi("C") -> PythonObject:
    """The module `moe_kernel`."""
    try:
        var module = PythonModuleBuilder("moe_kernel")
        module.def_function[start_pool]("start_pool")
        module.def_function[prepare_layer]("prepare_layer")
        module.def_function[forward_layer]("forward_layer")
        module.def_function[release_layer]("release_layer")
        module.def_function[packed_bytes]("packed_bytes")
        module.def_function[tile_shape]("tile_shape")
        module.def_function[known_dimensions]("known_dimensions")
        module.def_function[known_dtypes]("known_dtypes")
        return module.finalize()
    except e:
        abort(String("the module moe_kernel could not be made: ", e))


def start_pool(threads: PythonObject) raises -> PythonObject:
    """The address of a new pool of that many threads, which lives as long as the process."""
    return PythonObject(Pool.start(1 if ONE_THREAD else Int(py=threads)).address)


def prepare_layer(
    pool: PythonObject, dtype: PythonObject, options: PythonObject, addresses: PythonObject
) raises -> PythonObject:
    """The address of a prepared layer.

    Args:
        pool: From `start_pool`.
        dtype: A place in DTYPES that this build has, see `known_dtypes`.
        options: (d_model, d_ff, experts, top_k, activation, gated, renormalize, router kind, groups, top groups,
            scaling, shared d_ff, float32 router).
        addresses: (router, router_bias, correction, w1, b1, w2, b2, w_gate, and the last five again of the shared
            expert), 0 where there is none.
    """
    var threads = Pool(Int(py=pool))
    _require_here(threads)
    var layer = Layer(
        pool=threads,
        d_model=Int(py=options[0]),
        d_ff=Int(py=options[1]),
        experts=Int(py=options[2]),
        top_k=Int(py=options[3]),
        activation=Int(py=options[4]),
        gated=Int(py=options[5]) != 0,
        renormalize=Int(py=options[6]) != 0,
        router_kind=Int(py=options[7]),
        groups=Int(py=options[8]),
        top_groups=Int(py=options[9]),
        scaling=Float32(Float64(py=options[10])),
        shared_d_ff=Int(py=options[11]),
        float32_router=Int(py=options[12]) != 0,
        dtype=Int(py=dtype),
        tiles=False,
        packed=0,
        packed_bytes=0,
        router=0,
        router_bias=0,
        correction=0,
        first=0,
        first_bias=0,
        second=0,
        second_bias=0,
        shared_first=0,
        shared_first_bias=0,
        shared_second=0,
        shared_second_bias=0,
    )
    var weights = Weights(
        router=Int(py=addresses[0]),
        router_bias=Int(py=addresses[1]),
        correction=Int(py=addresses[2]),
        w1=Int(py=addresses[3]),
        b1=Int(py=addresses[4]),
        w2=Int(py=addresses[5]),
        b2=Int(py=addresses[6]),
        w_gate=Int(py=addresses[7]),
        shared_w1=Int(py=addresses[8]),
        shared_b1=Int(py=addresses[9]),
        shared_w2=Int(py=addresses[10]),
        shared_b2=Int(py=addresses[11]),
        shared_w_gate=Int(py=addresses[12]),
    )
    var python = Python()
    with GILReleased(python):
        comptime for number in range(len(DTYPES)):
            comptime if compiled(number):
                if layer.dtype == number:
                    layer = prepare[DTYPES[number]](threads, layer, weights)
    var kept = at[Layer](allocate(size_of[Layer]()))
    kept.unsafe_write(layer^)
    return PythonObject(Int(kept))


def forward_layer(
    layer: PythonObject,
    x: PythonObject,
    output: PythonObject,
    tokens: PythonObject,
    expert_ids: PythonObject,
    expert_weights: PythonObject,
    balance_loss: PythonObject,
) raises -> PythonObject:
    """The output of a prepared layer is at `output`; ids, weights and loss at their addresses unless 0."""
    ref prepared = at[Layer](Int(py=layer))[]
    var source = Int(py=x)
    var target = Int(py=output)
    var count = Int(py=tokens)
    var ids = Int(py=expert_ids)
    var weights = Int(py=expert_weights)
    var loss = Int(py=balance_loss)
    _require_here(prepared.pool)
    var python = Python()
    with GILReleased(python):
        prepared.pool.lock()
        try:
            comptime for number in range(len(DTYPES)):
                comptime if compiled(number):
                    if prepared.dtype == number:
                        forward[DTYPES[number]](prepared, source, target, count, ids, weights, loss)
        finally:
            prepared.pool.unlock()
    return PythonObject(None)


def release_layer(layer: PythonObject) raises -> PythonObject:
    """The packed weights' memory is the system's again."""
    var address = Int(py=layer)
    release(at[Layer](address)[].packed)
    release(address)
    return PythonObject(None)


def packed_bytes(layer: PythonObject) raises -> PythonObject:
    """How much memory the packed weights take."""
    return PythonObject(at[Layer](Int(py=layer))[].packed_bytes)


def tile_shape() raises -> PythonObject:
    """(lanes, tile rows, panel columns, whether bfloat16 is multiplied in pairs) of this build, and whether bfloat16
    is multiplied by AMX in this process."""
    return Python.tuple(LANES, TILE_ROWS, PANEL, paired[DType.bfloat16](), may_use_tiles[DType.bfloat16]())


def known_dtypes() raises -> PythonObject:
    """The places in DTYPES of what this build computes."""
    var known = Python.list()
    comptime for number in range(len(DTYPES)):
        comptime if compiled(number):
            known.append(PythonObject(number))
    return known


def compiled(number: Int) -> Bool:
    """Whether this build computes the dtype at that place in DTYPES."""
    return DTYPE == EVERY or DTYPE == number


def known_dimensions() raises -> PythonObject:
    """(d_model, d_ff) if this build computes no others, else zeros."""
    return Python.tuple(D_MODEL, D_FF)


def _require_here(pool: Pool) raises:
    if not pool.here():
        raise Error(
            "RuntimeError: this process was forked after the kernel started its threads, which the child does not have;"
            " call prepare again in the child, or start processes with 'spawn'"
        )
