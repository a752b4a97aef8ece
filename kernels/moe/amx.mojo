"""The bfloat16 tile where the CPU has AMX: 16 rows times 16 columns in one instruction, 32 terms at a time.

Two by two tile registers hold sums, two hold rows and two weights: of four loads (8 cycles each from L1) come four
products (16 cycles each), so the products bound it. A product of fewer rows takes no less than 9 cycles, which is less
than its weights take from L2: the same tile serves one row.

A product sums 16 pairs in float32 and adds them to the sum, rounding to nearest and taking denormals for zero,
whatever the thread's settings. Neither the other rows nor a split of K between products changes a bit of it.
"""

from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, llvm_intrinsic
from std.sys.intrinsics import PrefetchOptions, prefetch

from .format import AMX_ROWS, AMX_STEPS, LANES, PANEL, step_bytes, tiled
from .memory import Bytes, CACHE_LINE, Floats

# Linux keeps 8 KiB more per thread for the tile registers, and wants to be asked: arch_prctl, ARCH_REQ_XCOMP_PERM and
# the number of the registers' state.
comptime SYS_ARCH_PRCTL = 158
comptime REQUEST_PERMISSION = 0x1023
comptime TILE_DATA = 18

# The shape of the tile registers: palette 1, bytes of a row (16 bits each) from byte 16, rows from byte 48.
comptime SHAPE_BYTES = 64
comptime REGISTERS = 8
comptime ROWS = 16
comptime ROW_BYTES = 64


def may_use_tiles[dtype: DType]() -> Bool:
    """Whether `dtype` is multiplied by AMX here: the build can, and the system lets this process."""
    comptime if tiled[dtype]():
        return external_call["syscall", Int, num_fixed_args=1](SYS_ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0
    else:
        return False


def open_tiles[dtype: DType](tiles: Bool):
    """The tile registers of this thread have their shape, if `tiles` says that they are used.

    At the start of a region, because other libraries of the process shape them too; 70 ns.
    """
    comptime if tiled[dtype]():
        if tiles:
            var shape = Array[UInt8, SHAPE_BYTES](fill=0)
            shape[0] = 1
            for i in range(REGISTERS):
                shape[16 + 2 * i] = UInt8(ROW_BYTES)
                shape[48 + i] = UInt8(ROWS)
            llvm_intrinsic["llvm.x86.ldtilecfg", NoneType](Pointer(to=shape))


def close_tiles[dtype: DType](tiles: Bool):
    """The tile registers are nobody's: a switch of threads need not save them."""
    comptime if tiled[dtype]():
        if tiles:
            llvm_intrinsic["llvm.x86.tilerelease", NoneType]()


@always_inline
def bytes_fetched(rows: Int) -> Int:
    """What a step of 32 rows fetches, so that the block's `rows` together fetch a panel.

    Few rows read weights as fast as they come: 72 us without for 94 with it, for 16 tokens of 256 x 1024, E 4, k 2.
    """
    return AMX_STEPS * step_bytes[DType.bfloat16]() // ((rows + ROWS - 1) // AMX_ROWS) if rows > ROWS else 0


@no_inline
def amx_tiles(
    rows: Int,
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    step_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
    ahead: Bytes,
    fetched: Int,
):
    """`tiles_of` for bfloat16: one panel's columns of C = start + A W for any number of rows.

    Reads up to 31 rows more of A, and of `start` unless it is a bias; writes no others of C.

    Args:
        rows: Rows of A and C.
        steps: Pairs of terms; a multiple of AMX_STEPS.
        a: First pair of A.
        lda: Pairs from one row of A to the next; rows that begin on a cache line load twice as fast.
        weights: Packed panel [steps, PANEL] of pairs.
        step_stride: Bytes from one step of the panel to the next.
        start: What the sums start from.
        start_stride: Floats from one row of `start` to the next; 0 for a bias.
        c: First element of C; may be `start`.
        ldc: Floats from one row of C to the next.
        ahead: Weights that will be read later, fetched into L2 meanwhile.
        fetched: Bytes of them with every step of 32 rows, as `bytes_fetched` has it.
    """
    var whole = rows // AMX_ROWS
    var rest = rows - whole * AMX_ROWS
    if whole > 0:
        _products[True](whole, steps, a, lda, weights, step_stride, start, start_stride, c, ldc, ahead, fetched)
    if rest == 0:
        return
    var above = whole * AMX_ROWS
    var rest_a = a.unsafe_offset(above * lda)
    var rest_start = start.unsafe_offset(above * start_stride)
    var all_rows = Array[Float32, AMX_ROWS * PANEL](uninitialized=True)
    var sums = Pointer(to=all_rows).unsafe_bitcast[Float32]().unsafe_origin_cast[MutUntrackedOrigin]()
    if rest > ROWS:
        var behind = ahead.unsafe_offset(whole * (steps // AMX_STEPS) * fetched)
        _products[True](
            1, steps, rest_a, lda, weights, step_stride, rest_start, start_stride, sums, PANEL, behind, fetched
        )
    else:
        _products[False](1, steps, rest_a, lda, weights, step_stride, rest_start, start_stride, sums, PANEL, ahead, 0)
    for i in range(rest):
        comptime for j in range(PANEL // LANES):
            c.unsafe_store((above + i) * ldc + j * LANES, sums.unsafe_load[width=LANES](i * PANEL + j * LANES))


@always_inline
def _products[
    both: Bool
](
    count: Int,
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    step_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
    ahead: Bytes,
    fetched: Int,
):
    """C = start + A W for `count` times 32 rows, or for 16 where not `both`; each product fetches `fetched` bytes."""
    var next = ahead
    for index in range(count):
        var row = a.unsafe_offset(index * AMX_ROWS * lda)
        var panel = weights.unsafe_bitcast[Float32]()
        var begin = start.unsafe_offset(index * AMX_ROWS * start_stride)
        if index == 0:
            _begin[both](begin, start_stride)
            _step[both, False](row, lda, panel, step_stride // 4, c, ldc, begin, start_stride)
        else:
            var before = c.unsafe_offset((index - 1) * AMX_ROWS * ldc)
            _step[both, True](row, lda, panel, step_stride // 4, before, ldc, begin, start_stride)
        for _ in range(1, steps // AMX_STEPS):
            next = _fetch[both](next, fetched)
            row = row.unsafe_offset(AMX_STEPS)
            panel = panel.unsafe_offset(AMX_STEPS * (step_stride // 4))
            _step[both, False](row, lda, panel, step_stride // 4, c, ldc, begin, start_stride)
        next = _fetch[both](next, fetched)
    _end[both](c.unsafe_offset((count - 1) * AMX_ROWS * ldc), ldc)


@always_inline
def _step[
    both: Bool, turn: Bool
](a: Floats, lda: Int, weights: Floats, stride: Int, before: Floats, ldc: Int, start: Floats, start_stride: Int):
    """Sums in registers 0 to 3 grow by rows in 4 and 5 times weights in 6 and 7.

    At a `turn` the sums of the rows before are stored and these begun, register by register: waiting for one costs
    less than for all four.
    """
    # Rows stream through L1 past the panel, which the next rows read again: 13 to 20 % of a layer's time.
    _stream[4](a, lda)
    _load[6](weights, stride)
    comptime if turn:
        _store[0](before, ldc)
        _load[0](start, start_stride)
    _multiply_add[0, 4, 6]()
    comptime if both:
        _stream[5](a.unsafe_offset(ROWS * lda), lda)
        comptime if turn:
            _store[2](before.unsafe_offset(ROWS * ldc), ldc)
            _load[2](start.unsafe_offset(ROWS * start_stride), start_stride)
        _multiply_add[2, 5, 6]()
    _load[7](weights.unsafe_offset(LANES), stride)
    comptime if turn:
        _store[1](before.unsafe_offset(LANES), ldc)
        _load[1](start.unsafe_offset(LANES), start_stride)
    _multiply_add[1, 4, 7]()
    comptime if both:
        comptime if turn:
            _store[3](before.unsafe_offset(ROWS * ldc + LANES), ldc)
            _load[3](start.unsafe_offset(ROWS * start_stride + LANES), start_stride)
        _multiply_add[3, 5, 7]()


@always_inline
def _begin[both: Bool](start: Floats, stride: Int):
    """The registers hold what the sums start from."""
    _load[0](start, stride)
    _load[1](start.unsafe_offset(LANES), stride)
    comptime if both:
        _load[2](start.unsafe_offset(ROWS * stride), stride)
        _load[3](start.unsafe_offset(ROWS * stride + LANES), stride)


@always_inline
def _end[both: Bool](c: Floats, ldc: Int):
    """The sums are in memory."""
    _store[0](c, ldc)
    _store[1](c.unsafe_offset(LANES), ldc)
    comptime if both:
        _store[2](c.unsafe_offset(ROWS * ldc), ldc)
        _store[3](c.unsafe_offset(ROWS * ldc + LANES), ldc)


@always_inline
def _fetch[both: Bool](next: Bytes, bytes: Int) -> Bytes:
    """What follows `bytes` bytes that come into L2 meanwhile."""
    comptime if both:
        for line in range(0, bytes, CACHE_LINE):
            prefetch[PrefetchOptions().for_read().medium_locality().to_data_cache()](next.unsafe_offset(line))
    return next.unsafe_offset(bytes)


@always_inline
def _load[register: Int](source: Floats, stride: Int):
    """16 rows of 16 words each, `stride` words apart."""
    llvm_intrinsic["llvm.x86.tileloadd64", NoneType](Int8(register), source, 4 * stride)


@always_inline
def _stream[register: Int](source: Floats, stride: Int):
    """As `_load`, leaving in L1 what is there."""
    llvm_intrinsic["llvm.x86.tileloaddt164", NoneType](Int8(register), source, 4 * stride)


@always_inline
def _multiply_add[sum: Int, row: Int, weights: Int]():
    """A tile of sums grows by the product of a tile of rows with a tile of weights."""
    llvm_intrinsic["llvm.x86.tdpbf16ps", NoneType](Int8(sum), Int8(row), Int8(weights))


@always_inline
def _store[register: Int](target: Floats, stride: Int):
    """16 rows of 16 sums each, `stride` words apart."""
    llvm_intrinsic["llvm.x86.tilestored64", NoneType](Int8(register), target, 4 * stride)
