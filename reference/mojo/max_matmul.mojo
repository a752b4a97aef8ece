"""The published layer over MAX's own matmul: `linalg.matmul` for each matrix of each expert that has tokens.

A C interface: addresses and numbers in, memory written. Weights are packed once, as MAX packs constants, and ReLU is
the epilogue of the first matmul. MAX takes as many threads as the process has cores.
"""

from layout import Coord, TileTensor
from layout.tile_layout import row_major
from linalg.matmul import matmul
from linalg.packing import pack_b_ndbuffer, pack_matmul_b_shape_func
from std.ffi import external_call
from std.runtime import initialize_runtime
from std.sys import size_of

from layer import CACHE_LINE, Layer, Packed, Workspace, at, on_line
from tokens import choose, combine, dispatch, gather


def allocate(bytes: Int) -> Int:
    """The address of as many bytes from the system."""
    return external_call["aligned_alloc", Int](CACHE_LINE, on_line(max(bytes, 1)))


def release(address: Int):
    """The memory is the system's again."""
    external_call["free", NoneType](address)


@export
def max_prepare_float32(
    d: Int, f: Int, experts: Int, top_k: Int, renormalize: Int, router: Int, w1: Int, w2: Int
) abi("C") -> Int:
    """The address of a prepared float32 layer, which keeps the router where it is; 0 when MAX refused."""
    return prepare[DType.float32](d, f, experts, top_k, renormalize != 0, router, w1, w2)


@export
def max_prepare_bfloat16(
    d: Int, f: Int, experts: Int, top_k: Int, renormalize: Int, router: Int, w1: Int, w2: Int
) abi("C") -> Int:
    """The same in bfloat16."""
    return prepare[DType.bfloat16](d, f, experts, top_k, renormalize != 0, router, w1, w2)


@export
def max_workspace(layer: Int, tokens: Int) abi("C") -> Int:
    """How many bytes a call of so many tokens needs."""
    return Workspace(at[Layer](layer)[], tokens, 0).end + CACHE_LINE


@export
def max_forward_float32(
    layer: Int, tokens: Int, x: Int, output: Int, ids: Int, weights: Int, workspace: Int
) abi("C") -> Int:
    """`output` [tokens, d], `ids` int64 and `weights` float32 [tokens, top_k] are written; 0 when MAX refused."""
    return forward[DType.float32](at[Layer](layer)[], tokens, x, output, ids, weights, workspace)


@export
def max_forward_bfloat16(
    layer: Int, tokens: Int, x: Int, output: Int, ids: Int, weights: Int, workspace: Int
) abi("C") -> Int:
    """The same in bfloat16."""
    return forward[DType.bfloat16](at[Layer](layer)[], tokens, x, output, ids, weights, workspace)


@export
def max_release(layer: Int) abi("C"):
    """The packed weights' memory is the system's again."""
    release(at[Layer](layer)[].up.address)
    release(at[Layer](layer)[].down.address)
    release(layer)


def prepare[
    dtype: DType
](d: Int, f: Int, experts: Int, top_k: Int, renormalize: Bool, router: Int, w1: Int, w2: Int) -> Int:
    """The address of a prepared layer."""
    initialize_runtime()
    try:
        var layer = Layer(
            d=d,
            f=f,
            experts=experts,
            top_k=top_k,
            renormalize=renormalize,
            element=size_of[Scalar[dtype]](),
            router=router,
            up=pack[dtype](w1, experts, d, f),
            down=pack[dtype](w2, experts, f, d),
        )
        var kept = allocate(size_of[Layer]())
        at[Layer](kept).unsafe_write(layer^)
        return kept
    except:
        return 0


def pack[dtype: DType](matrices: Int, experts: Int, k: Int, n: Int) raises -> Packed:
    """All experts' [k, n] matrices as MAX packs them for a float32 product, from which a bfloat16 one is rounded."""
    var packed = Packed(0, 0, 0)
    for expert in range(experts):
        var plain = TileTensor(at[Scalar[dtype]](matrices).unsafe_offset(expert * k * n), row_major(Coord(k, n)))
        if expert == 0:
            var shape = pack_matmul_b_shape_func[dtype, DType.float32, False](plain)
            packed = Packed(allocate(experts * shape[0] * shape[1] * size_of[Scalar[dtype]]()), shape[0], shape[1])
        pack_b_ndbuffer[dtype, DType.float32](plain, packed_matrix[dtype](packed, expert))
    return packed


@always_inline
def packed_matrix[
    dtype: DType
](packed: Packed, expert: Int, out result: type_of(TileTensor(at[Scalar[dtype]](0), row_major(Coord(0, 0))))):
    """An expert's packed matrix."""
    result = TileTensor(
        at[Scalar[dtype]](packed.address).unsafe_offset(expert * packed.rows * packed.columns),
        row_major(Coord(packed.rows, packed.columns)),
    )


def forward[
    dtype: DType
](layer: Layer, tokens: Int, x: Int, output: Int, ids: Int, weights: Int, workspace: Int) -> Int:
    """1 once everything is written, 0 when MAX refused."""
    var d = layer.d
    var slots = tokens * layer.top_k
    var work = Workspace(layer, tokens, workspace)
    try:
        matmul(
            TileTensor(at[Float32](work.logits), row_major(Coord(tokens, layer.experts))),
            TileTensor(at[Scalar[dtype]](x), row_major(Coord(tokens, d))),
            TileTensor(at[Scalar[dtype]](layer.router), row_major(Coord(d, layer.experts))),
        )
        choose(layer, tokens, work.logits, ids, weights)
        dispatch(layer, slots, ids, work.first, work.row_of_slot)
        gather(layer, slots, x, work.rows, work.row_of_slot, d * layer.element)
        for expert in range(layer.experts):
            var begin = Int(at[Int64](work.first)[unsafe_offset=expert])
            var count = Int(at[Int64](work.first)[unsafe_offset=expert + 1]) - begin
            if count > 0:
                var rows = work.rows + begin * d * layer.element
                var hidden = work.hidden + begin * layer.f * layer.element
                run_expert[dtype](layer, expert, count, rows, hidden, work.answers + begin * d * 4)
        combine[dtype](layer, tokens, work.answers, work.row_of_slot, weights, output)
    except:
        return 0
    return 1


def run_expert[dtype: DType](layer: Layer, expert: Int, count: Int, rows: Int, hidden: Int, answers: Int) raises:
    """`answers` [count, d], in float32, are what the expert makes of `rows` [count, d]."""
    var units = TileTensor(at[Scalar[dtype]](hidden), row_major(Coord(count, layer.f)))

    @__parameter
    @always_inline
    def relu[kind: DType, lanes: SIMDLength, *, alignment: Int = 1](place: Coord, value: SIMD[kind, lanes]):
        # A NaN is not below zero, and stays.
        var active = value.lt(0).select(SIMD[kind, lanes](0), value)
        at[Scalar[dtype]](hidden).unsafe_store(
            Int(place[0].value()) * layer.f + Int(place[1].value()), active.cast[dtype]()
        )

    matmul[b_packed=True, elementwise_lambda_fn=relu](
        units,
        TileTensor(at[Scalar[dtype]](rows), row_major(Coord(count, layer.d))),
        packed_matrix[dtype](layer.up, expert),
    )
    matmul[b_packed=True](
        TileTensor(at[Float32](answers), row_major(Coord(count, layer.d))),
        units,
        packed_matrix[dtype](layer.down, expert),
    )
