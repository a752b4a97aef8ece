"""The published layer over MAX's own matmul: `linalg.matmul` for each matrix of each expert that has tokens.

A C interface: addresses and numbers in, memory written. Weights are packed once, as MAX packs constants, and ReLU is
the epilogue of the first matmul. What MAX has no operation for on a CPU, choosing, gathering and combining, is plain
Mojo on MAX's threads, of which there are as many as the process has cores.
"""

from layout import Coord, TileTensor
from layout.tile_layout import row_major
from linalg.matmul import matmul
from linalg.packing import pack_b_ndbuffer, pack_matmul_b_shape_func
from max.algorithm import sync_parallelize
from std.ffi import external_call
from std.math import ceildiv, exp
from std.memory import unsafe_memcpy
from std.runtime import initialize_runtime, parallelism_level
from std.sys import simd_width_of, size_of

comptime Address[T: AnyType] = Pointer[T, MutUntrackedOrigin]
comptime CACHE_LINE = 64
comptime LANES = simd_width_of[DType.float32]()


@fieldwise_init
struct Packed(Copyable, ImplicitlyCopyable, Movable):
    """All experts' matrices of one kind, one after the other, each [rows, columns] with what MAX pads its tiles to."""

    var address: Int
    var rows: Int
    var columns: Int


@fieldwise_init
struct Layer(Copyable, Movable):
    """Dimensions, bytes of an element, the address of the router [d, experts], and the experts' packed matrices."""

    var d: Int
    var f: Int
    var experts: Int
    var top_k: Int
    var renormalize: Bool
    var element: Int
    var router: Int
    var up: Packed
    var down: Packed


struct Workspace(Movable):
    """The addresses of what lies between x and the output, one after the other, each on a cache line of its own."""

    var logits: Int
    var first: Int
    var row_of_slot: Int
    var rows: Int
    var hidden: Int
    var answers: Int
    var end: Int

    def __init__(out self, layer: Layer, tokens: Int, address: Int):
        """Laid out from the first whole cache line after `address`."""
        var slots = tokens * layer.top_k
        self.logits = on_line(address)
        self.first = on_line(self.logits + tokens * layer.experts * 4)
        self.row_of_slot = on_line(self.first + (layer.experts + 1) * 8)
        self.rows = on_line(self.row_of_slot + slots * 8)
        self.hidden = on_line(self.rows + slots * layer.d * layer.element)
        self.answers = on_line(self.hidden + slots * layer.f * layer.element)
        self.end = self.answers + slots * layer.d * 4


@always_inline
def at[T: AnyType](address: Int) -> Address[T]:
    """The address as a typed pointer."""
    return Address[T](unsafe_from_address=address)


@always_inline
def on_line(address: Int) -> Int:
    """The first cache line from there."""
    return ceildiv(address, CACHE_LINE) * CACHE_LINE


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


def choose(layer: Layer, tokens: Int, logits: Int, ids: Int, weights: Int):
    """`ids` and `weights` [tokens, top_k], heaviest first, ties to the lowest id; over all experts, or the chosen."""

    def part(task: Int) {imm}:
        for token in range(first_of(task, tokens), first_of(task + 1, tokens)):
            var scores = at[Float32](logits).unsafe_offset(token * layer.experts)
            var chosen = at[Int64](ids).unsafe_offset(token * layer.top_k)
            var shares = at[Float32](weights).unsafe_offset(token * layer.top_k)
            var total = Float32(0)
            var top = Float32.MIN
            for expert in range(layer.experts):
                top = max(top, scores[unsafe_offset=expert])
            for expert in range(layer.experts):
                total += exp(scores[unsafe_offset=expert] - top)
            var kept = Float32(0)
            for rank in range(layer.top_k):
                var best = -1
                for expert in range(layer.experts):
                    var taken = False
                    for earlier in range(rank):
                        taken = taken or Int(chosen[unsafe_offset=earlier]) == expert
                    if not taken and (best < 0 or scores[unsafe_offset=expert] > scores[unsafe_offset=best]):
                        best = expert
                chosen[unsafe_offset=rank] = Int64(best)
                shares[unsafe_offset=rank] = exp(scores[unsafe_offset=best] - top)
                kept += shares[unsafe_offset=rank]
            for rank in range(layer.top_k):
                shares[unsafe_offset=rank] /= kept if layer.renormalize else total

    sync_parallelize(part, parallelism_level())


def dispatch(layer: Layer, slots: Int, ids: Int, first: Int, row_of_slot: Int):
    """`first` [experts + 1] is where each expert's rows begin, `row_of_slot` where each slot's row is: a counting sort.
    """
    var begins = at[Int64](first)
    var chosen = at[Int64](ids)
    for expert in range(layer.experts + 1):
        begins[unsafe_offset=expert] = 0
    for slot in range(slots):
        begins[unsafe_offset=Int(chosen[unsafe_offset=slot]) + 1] += 1
    for expert in range(layer.experts):
        begins[unsafe_offset=expert + 1] += begins[unsafe_offset=expert]
    # Every count goes from where its expert begins to where it ends, which is where the next one begins.
    for slot in range(slots):
        var expert = Int(chosen[unsafe_offset=slot])
        at[Int64](row_of_slot)[unsafe_offset=slot] = begins[unsafe_offset=expert]
        begins[unsafe_offset=expert] += 1
    for expert in range(layer.experts, 0, -1):
        begins[unsafe_offset=expert] = begins[unsafe_offset=expert - 1]
    begins[unsafe_offset=0] = 0


def gather(layer: Layer, slots: Int, x: Int, rows: Int, row_of_slot: Int, row_bytes: Int):
    """`rows` are the tokens of all slots in the order of `row_of_slot`."""

    def part(task: Int) {imm}:
        for slot in range(first_of(task, slots), first_of(task + 1, slots)):
            var row = Int(at[Int64](row_of_slot)[unsafe_offset=slot])
            unsafe_memcpy(
                dest=at[UInt8](rows + row * row_bytes),
                src=at[UInt8](x + slot // layer.top_k * row_bytes),
                count=row_bytes,
            )

    sync_parallelize(part, parallelism_level())


def combine[dtype: DType](layer: Layer, tokens: Int, answers: Int, row_of_slot: Int, weights: Int, output: Int):
    """`output` [tokens, d] is each token's weighted sum, its best expert first."""

    def part(task: Int) {imm}:
        for token in range(first_of(task, tokens), first_of(task + 1, tokens)):
            var target = at[Scalar[dtype]](output).unsafe_offset(token * layer.d)

            @always_inline
            def element[width: Int](column: Int) {imm}:
                var total = SIMD[DType.float32, width](0)
                for rank in range(layer.top_k):
                    var slot = token * layer.top_k + rank
                    var row = Int(at[Int64](row_of_slot)[unsafe_offset=slot])
                    var answer = at[Float32](answers).unsafe_load[width=width](row * layer.d + column)
                    total = SIMD[DType.float32, width](at[Float32](weights)[unsafe_offset=slot]).fma(answer, total)
                target.unsafe_store(column, total.cast[dtype]())

            var whole = layer.d // LANES * LANES
            for column in range(0, whole, LANES):
                element[LANES](column)
            for column in range(whole, layer.d):
                element[1](column)

    sync_parallelize(part, parallelism_level())


@always_inline
def first_of(task: Int, things: Int) -> Int:
    """The first thing of a task, where tasks share things out evenly."""
    return task * things // parallelism_level()
