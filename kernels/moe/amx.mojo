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

from .activation import hidden_row
from .format import AMX_ROWS, AMX_STEPS, AMX_SUMS, LANES, PANEL, chunk_steps, step_bytes, tiled
from .memory import Address, Bytes, CACHE_LINE, Floats
from .panels import Panels

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

comptime Units = Address[BFloat16]
# Of a matmul whose sums become nothing else.
comptime SUMS_ONLY = -1


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


@fieldwise_init
struct Block(Copyable, ImplicitlyCopyable, Movable):
    """Where the sums of 32 rows and 32 columns go, and the hidden units that its first `rows` rows become."""

    var sums: Floats
    var stride: Int
    var hidden: Units
    var rows: Int


struct Pipeline[kind: Int, gated: Bool]:
    """Blocks one after the other: while one is multiplied, the one before it still leaves the registers, and the one
    before that becomes hidden units.

    Two blocks behind, because the sums of the last one arrive too late to be read without waiting.
    """

    var height: Int  # tiles above each other whose sums the registers hold
    var held: Block  # where they go
    var stored: Block  # the block before it
    var ld_hidden: Int

    def __init__(out self, nowhere: Floats, hidden: Units, ld_hidden: Int):
        """Nothing is under way."""
        self.height = 0
        self.held = Block(nowhere, 0, hidden, 0)
        self.stored = self.held
        self.ld_hidden = ld_hidden

    @always_inline
    def multiply[
        both: Bool
    ](
        mut self,
        products: Int,
        a: Floats,
        lda: Int,
        weights: Floats,
        stride: Int,
        start: Floats,
        start_stride: Int,
        block: Block,
        ahead: Bytes,
        fetched: Int,
    ):
        """The registers hold `start` and `products` products more, of 32 rows, or of 16 where not `both`."""
        comptime height = 2 if both else 1
        if self.height == height:
            _step[both, True](a, lda, weights, stride, self.held.sums, self.held.stride, start, start_stride)
        else:
            self.store()
            _begin[both](start, start_stride)
            _step[both, False](a, lda, weights, stride, start, 0, start, start_stride)
        var row = a
        var panel = weights
        var next = ahead
        var done = 0
        var share = (AMX_ROWS + products - 2) // max(products - 1, 1)
        for _ in range(1, products):
            next = _fetch[both](next, fetched)
            row = row.unsafe_offset(AMX_STEPS)
            panel = panel.unsafe_offset(AMX_STEPS * stride)
            _step[both, False](row, lda, panel, stride, start, 0, start, start_stride)
            done = self._finish(done, share)
        _ = _fetch[both](next, fetched)
        _ = self._finish(done, AMX_ROWS)
        self.stored = self.held
        self.held = block
        self.height = height

    @always_inline
    def store(mut self):
        """The registers are free, and their sums in memory."""
        if self.height == 2:
            _end[True](self.held.sums, self.held.stride)
        elif self.height == 1:
            _end[False](self.held.sums, self.held.stride)
        self.height = 0

    @always_inline
    def drain(mut self):
        """Nothing is under way any more."""
        self.store()
        _ = self._finish(0, AMX_ROWS)
        self.stored = self.held
        _ = self._finish(0, AMX_ROWS)

    @always_inline
    def _finish(self, done: Int, share: Int) -> Int:
        """The rows that are hidden units once it is `share` more than `done` of the block stored last but one."""
        comptime if Self.kind == SUMS_ONLY:
            return done
        else:
            var end = min(done + share, self.stored.rows)
            for i in range(done, end):
                hidden_row[DType.bfloat16, Self.kind, Self.gated](
                    self.stored.sums.unsafe_offset(i * PANEL), self.stored.hidden.unsafe_offset(i * self.ld_hidden)
                )
            return end


@no_inline
def amx_matmul[
    kind: Int, gated: Bool
](
    matrix: Panels,
    first_panel: Int,
    end_panel: Int,
    rows: Int,
    first: Int,
    end: Int,
    a: Floats,
    lda: Int,
    results: Floats,
    ld_results: Int,
    hidden: Units,
    ld_hidden: Int,
    sums: Floats,
    after: Bytes,
):
    """Rows times panels of weights: `hidden` holds the activated sums, or under SUMS_ONLY `results` the sums.

    Reads up to 31 rows more of A, and of `results`; writes no others of either.

    Parameters:
        kind: The activation, or SUMS_ONLY.
        gated: Whether a panel holds gate sums beside up sums.

    Args:
        matrix: Whose panels.
        first_panel: The first of them.
        end_panel: What follows the last.
        rows: Rows of A, at most a block's.
        first: The first pair of terms; unless 0, `results` holds the sums up to it.
        end: What follows the last; a multiple of AMX_STEPS more.
        a: Pair `first` of the first row.
        lda: Pairs from one row of A to the next; rows that begin on a cache line load twice as fast.
        results: First sum of panel 0.
        ld_results: Floats from one row of `results` to the next.
        hidden: First hidden unit of `first_panel`.
        ld_hidden: Units from one row of `hidden` to the next.
        sums: Room for AMX_SUMS and a block's rows of a panel.
        after: What is fetched into L2 during the last panel.
    """
    # A panel that one block alone reads need not stay in L1.
    var chunk = chunk_steps[DType.bfloat16]() if rows > AMX_ROWS else end - first
    comptime units = LANES if gated else PANEL
    var stride = matrix.step_stride // 4
    var fetched = bytes_fetched(rows)
    var pipeline = Pipeline[kind, gated](sums, hidden, ld_hidden)
    var slot = 0
    for p in range(first_panel, end_panel):
        var partial = sums.unsafe_offset(AMX_SUMS)
        var ld_partial = PANEL
        comptime if kind == SUMS_ONLY:
            partial = results.unsafe_offset(p * PANEL)
            ld_partial = ld_results
        var next_panel = matrix.at(p + 1, first) if p + 1 < end_panel else after
        for step in range(first, end, chunk):
            var steps = min(chunk, end - step)
            var last = step + steps == end
            var weights = matrix.at(p, step).unsafe_bitcast[Float32]()
            var start = matrix.bias.unsafe_offset(p * PANEL) if step == 0 else partial
            var start_stride = 0 if step == 0 else ld_partial
            var ahead = next_panel if last else matrix.at(p, step + steps)
            for row in range(0, rows, AMX_ROWS):
                var count = min(AMX_ROWS, rows - row)
                var block = Block(partial.unsafe_offset(row * ld_partial), ld_partial, hidden, 0)
                var own = kind != SUMS_ONLY and last
                comptime if kind == SUMS_ONLY:
                    # Rows that do not fill a block are copied, because those after them are others'.
                    own = count < AMX_ROWS
                if own:
                    block.sums = sums.unsafe_offset(slot)
                    block.stride = PANEL
                    slot = AMX_SUMS // 2 - slot
                    comptime if kind != SUMS_ONLY:
                        block.hidden = hidden.unsafe_offset((p - first_panel) * units + row * ld_hidden)
                        block.rows = count
                var row_a = a.unsafe_offset(row * lda + step - first)
                var begin = start.unsafe_offset(row * start_stride)
                var fetch = ahead.unsafe_offset(row // AMX_ROWS * (steps // AMX_STEPS) * fetched)
                if count > ROWS:
                    pipeline.multiply[True](
                        steps // AMX_STEPS, row_a, lda, weights, stride, begin, start_stride, block, fetch, fetched
                    )
                else:
                    pipeline.multiply[False](
                        steps // AMX_STEPS, row_a, lda, weights, stride, begin, start_stride, block, fetch, 0
                    )
                comptime if kind == SUMS_ONLY:
                    if own:
                        pipeline.store()
                        var target = partial.unsafe_offset(row * ld_partial)
                        for i in range(count):
                            comptime for j in range(0, PANEL, LANES):
                                target.unsafe_store(
                                    i * ld_partial + j, block.sums.unsafe_load[width=LANES](i * PANEL + j)
                                )
    pipeline.drain()


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
