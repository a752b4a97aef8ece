"""A matmul of bfloat16 by AMX: blocks of 32 rows and 32 columns, and what becomes of their sums.

Two by two tile registers hold sums, two hold rows and two weights: of four loads (8 cycles each from L1) come four
products (16 cycles each), so the products bound it. A product of fewer rows takes no less than 9 cycles, which is less
than its weights take from L2: the same tile serves one row.
"""

from std.sys.intrinsics import PrefetchOptions, prefetch

from .activation import hidden_row
from .amx import ROWS, load_tile, multiply_add, store_tile, stream_tile, zero_tile
from .format import AMX_ROWS, AMX_STEPS, AMX_SUMS, LANES, PANEL, chunk_steps, step_bytes
from .memory import Address, Bytes, CACHE_LINE, Floats
from .panels import Panels

comptime Units = Address[BFloat16]
# Of a matmul whose sums become nothing else.
comptime SUMS_ONLY = -1


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
        empty: Bool,
        block: Block,
        ahead: Bytes,
        fetched: Int,
    ):
        """The registers hold `start` and `products` products more, of 32 rows, or of 16 where not `both`."""
        comptime height = 2 if both else 1
        if self.height == height:
            _step[both, True](a, lda, weights, stride, self.held.sums, self.held.stride, start, start_stride, empty)
        else:
            self.store()
            _begin[both](start, start_stride, empty)
            _step[both, False](a, lda, weights, stride, start, 0, start, start_stride, empty)
        var row = a
        var panel = weights
        var next = ahead
        var done = 0
        var share = (AMX_ROWS + products - 2) // max(products - 1, 1)
        for _ in range(1, products):
            next = _fetch[both](next, fetched)
            row = row.unsafe_offset(AMX_STEPS)
            panel = panel.unsafe_offset(AMX_STEPS * stride)
            _step[both, False](row, lda, panel, stride, start, 0, start, start_stride, empty)
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


@always_inline
def _is_empty(bias: Floats) -> Bool:
    """Whether a panel has no bias: not loading it makes the first matmul 5 % faster."""
    var words = bias.unsafe_bitcast[Int32]()
    comptime Words = SIMD[DType.int32, LANES]
    return (words.unsafe_load[width=LANES](0) | words.unsafe_load[width=LANES](LANES)).eq(Words(0)).reduce_and()


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
            var empty = step == 0 and _is_empty(start)
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
                        steps // AMX_STEPS,
                        row_a,
                        lda,
                        weights,
                        stride,
                        begin,
                        start_stride,
                        empty,
                        block,
                        fetch,
                        fetched,
                    )
                else:
                    pipeline.multiply[False](
                        steps // AMX_STEPS, row_a, lda, weights, stride, begin, start_stride, empty, block, fetch, 0
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
](
    a: Floats,
    lda: Int,
    weights: Floats,
    stride: Int,
    before: Floats,
    ldc: Int,
    start: Floats,
    start_stride: Int,
    empty: Bool,
):
    """Sums in registers 0 to 3 grow by rows in 4 and 5 times weights in 6 and 7.

    At a `turn` the sums of the rows before are stored and these begun, register by register: waiting for one costs
    less than for all four.
    """
    # Rows stream through L1 past the panel, which the next rows read again: 13 to 20 % of a layer's time.
    stream_tile[4](a, lda)
    load_tile[6](weights, stride)
    comptime if turn:
        store_tile[0](before, ldc)
        _start[0](start, start_stride, empty)
    multiply_add[0, 4, 6]()
    comptime if both:
        stream_tile[5](a.unsafe_offset(ROWS * lda), lda)
        comptime if turn:
            store_tile[2](before.unsafe_offset(ROWS * ldc), ldc)
            _start[2](start.unsafe_offset(ROWS * start_stride), start_stride, empty)
        multiply_add[2, 5, 6]()
    load_tile[7](weights.unsafe_offset(LANES), stride)
    comptime if turn:
        store_tile[1](before.unsafe_offset(LANES), ldc)
        _start[1](start.unsafe_offset(LANES), start_stride, empty)
    multiply_add[1, 4, 7]()
    comptime if both:
        comptime if turn:
            store_tile[3](before.unsafe_offset(ROWS * ldc + LANES), ldc)
            _start[3](start.unsafe_offset(ROWS * start_stride + LANES), start_stride, empty)
        multiply_add[3, 5, 7]()


@always_inline
def _begin[both: Bool](start: Floats, stride: Int, empty: Bool):
    """The registers hold what the sums start from."""
    _start[0](start, stride, empty)
    _start[1](start.unsafe_offset(LANES), stride, empty)
    comptime if both:
        _start[2](start.unsafe_offset(ROWS * stride), stride, empty)
        _start[3](start.unsafe_offset(ROWS * stride + LANES), stride, empty)


@always_inline
def _start[register: Int](source: Floats, stride: Int, empty: Bool):
    """What `source` holds; nothing need be loaded if that is zeros."""
    if empty:
        zero_tile[register]()
    else:
        load_tile[register](source, stride)


@always_inline
def _end[both: Bool](c: Floats, ldc: Int):
    """The sums are in memory."""
    store_tile[0](c, ldc)
    store_tile[1](c.unsafe_offset(LANES), ldc)
    comptime if both:
        store_tile[2](c.unsafe_offset(ROWS * ldc), ldc)
        store_tile[3](c.unsafe_offset(ROWS * ldc + LANES), ldc)


@always_inline
def _fetch[both: Bool](next: Bytes, bytes: Int) -> Bytes:
    """What follows `bytes` bytes that come into L2 meanwhile."""
    comptime if both:
        for line in range(0, bytes, CACHE_LINE):
            prefetch[PrefetchOptions().for_read().medium_locality().to_data_cache()](next.unsafe_offset(line))
    return next.unsafe_offset(bytes)
