"""The two matmuls of an expert, for any of its rows and any of its panels of weights."""

from .ablation import D_FF, D_MODEL
from .activation import RELU, store_hidden
from .format import LANES, PANEL, TILE_ROWS, operand, paired, panel_bytes, panel_stride, step_stride, steps
from .layer import Layer
from .memory import Address, Bytes, Floats, at
from .tile import group_of, tile_of
from .workspace import Workspace

# Steps of K that a thread finishes for all rows of a block before it goes on: a panel's share of them, 128 KiB in
# float32, stays in L2 beside the block's rows.
comptime CHUNK_STEPS = 1024


@always_inline
def _known_steps[dtype: DType](k: Int) -> Int:
    """The steps of a tile over `k` terms where the compiler knows `k` and they are done at once; else 0."""
    return steps[dtype](k) if steps[dtype](k) <= CHUNK_STEPS else 0


@always_inline
def _tile_end(rows: Int, first: Int) -> Int:
    """The end of the tile that starts at row `first`: tiles of one block differ by at most one row.

    49 rows are 10 + 10 + 10 + 10 + 9, not 4 x 12 + 1: a one-row tile takes the time of four rows.
    """
    var tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    var index = (first * tiles + rows - 1) // rows
    return (index + 1) * rows // tiles


@always_inline
def _share(done: Int, rows: Int, stride: Int) -> Int:
    """Bytes of the next panel that are fetched when `done` of a panel's `rows` row-steps are: all of it in the end.

    The tiles of a block read a panel from L2 but for the first, which waits for L3. Fetched ahead, seed-claim takes 2 %
    less time on two Zen5 cores, experts of 1024 x 4096 take 9 % less; on a Sapphire Rapids core 4 and 25 %.
    """
    return done * stride // rows


def gather_rows[dtype: DType](layer: Layer, work: Workspace, first: Int, count: Int, target: Int):
    """`target` [count, ld_rows] holds the tokens of the rows from `first` on, as operands."""
    comptime to = operand[dtype]()
    var d = layer.compiled().d_model
    for i in range(count):
        var token = Int(at[Int32](work.token_of_row)[unsafe_offset=first + i])
        var source = at[Scalar[dtype]](work.x).unsafe_offset(token * d)
        var row = at[Scalar[to]](target).unsafe_offset(i * work.ld_rows)
        var j = 0
        while j + LANES <= d:
            row.unsafe_store(j, source.unsafe_load[width=LANES](j).cast[to]())
            j += LANES
        while j < d:
            row[unsafe_offset=j] = source[unsafe_offset=j].cast[to]()
            j += 1
        # The second half of an odd last pair meets a zero weight, and must not be a NaN that was left here.
        row[unsafe_offset=d] = 0


@always_inline
def _words[dtype: DType](operands: Address[Scalar[operand[dtype]()]], offset: Int) -> Floats:
    """The address of an operand, as the tile's words (an even operand, when paired)."""
    return operands.unsafe_offset(offset).unsafe_bitcast[Float32]()


@always_inline
def _word_count[dtype: DType](operands: Int) -> Int:
    """Words that so many operands take."""
    return operands // 2 if paired[dtype]() else operands


def hidden_units[
    dtype: DType
](
    prepared: Layer,
    work: Workspace,
    expert: Int,
    rows: Int,
    inputs: Address[Scalar[operand[dtype]()]],
    first_panel: Int,
    end_panel: Int,
    hidden: Address[Scalar[operand[dtype]()]],
    sums: Floats,
):
    """`hidden` [rows, ld_hidden] holds the units of the given panels: act(x W1 + b1), gated or not."""
    var layer = prepared.compiled()
    comptime known = _known_steps[dtype](D_MODEL)
    var k = steps[dtype](layer.d_model)
    var size = panel_stride[dtype](layer.d_model)
    var panels = layer.first_panels()
    var stride = step_stride[dtype](panels)
    var weights = at[UInt8](layer.first + expert * panels * panel_bytes[dtype](layer.d_model))
    var bias = at[Float32](layer.first_bias).unsafe_offset(expert * panels * PANEL)
    var lda = _word_count[dtype](work.ld_rows)
    var units = layer.units_per_panel()
    comptime if operand[dtype]() == DType.float32:
        if layer.activation == RELU and not layer.gated:
            # The sums are the hidden units but for their sign: no pass of their own.
            _multiply[dtype, True, known](
                rows,
                k,
                _words[dtype](inputs, 0),
                lda,
                weights,
                size,
                stride,
                bias,
                first_panel,
                end_panel,
                hidden.unsafe_bitcast[Float32](),
                work.ld_hidden,
            )
            return
    var group = group_of[2](rows)
    var p = first_panel
    while p < end_panel:
        var panel = weights.unsafe_offset(p * size)
        var start = bias.unsafe_offset(p * PANEL)
        if group > 1 and p + group <= end_panel:
            tile_of[dtype, 2, True, False, known](
                rows, k, _words[dtype](inputs, 0), lda, panel, size, stride, start, 0, sums, group * PANEL, panel, 0
            )
            store_hidden[dtype](
                layer.activation,
                layer.gated,
                rows,
                group,
                sums,
                group * PANEL,
                hidden.unsafe_offset(p * units),
                work.ld_hidden,
            )
            p += group
            continue
        for step in range(0, k, CHUNK_STEPS):
            var chunk = min(CHUNK_STEPS, k - step)
            var row = 0
            while row < rows:
                var end = _tile_end(rows, row)
                var tile_sums = sums.unsafe_offset(row * PANEL)
                tile_of[dtype, 2, False, False, known](
                    end - row,
                    chunk,
                    _words[dtype](inputs, row * work.ld_rows).unsafe_offset(step),
                    lda,
                    panel.unsafe_offset(step * stride),
                    size,
                    stride,
                    start if step == 0 else tile_sums,
                    0 if step == 0 else PANEL,
                    tile_sums,
                    PANEL,
                    panel.unsafe_offset(size + _share(step * rows + row * chunk, rows, stride)),
                    _share(end - row, rows, stride),
                )
                if step + chunk == k:
                    store_hidden[dtype](
                        layer.activation,
                        layer.gated,
                        end - row,
                        1,
                        tile_sums,
                        PANEL,
                        hidden.unsafe_offset(row * work.ld_hidden + p * units),
                        work.ld_hidden,
                    )
                row = end
        p += 1


def outputs[
    dtype: DType
](
    prepared: Layer,
    work: Workspace,
    expert: Int,
    rows: Int,
    hidden: Address[Scalar[operand[dtype]()]],
    first_panel: Int,
    end_panel: Int,
    results: Floats,
):
    """`results` [rows, ld_results] holds the expert's output of the given panels: hidden W2 + b2."""
    var layer = prepared.compiled()
    var panels = layer.second_panels()
    _multiply[dtype, False, _known_steps[dtype](D_FF)](
        rows,
        steps[dtype](layer.d_ff),
        _words[dtype](hidden, 0),
        _word_count[dtype](work.ld_hidden),
        at[UInt8](layer.second + expert * panels * panel_bytes[dtype](layer.d_ff)),
        panel_stride[dtype](layer.d_ff),
        step_stride[dtype](panels),
        at[Float32](layer.second_bias).unsafe_offset(expert * panels * PANEL),
        first_panel,
        end_panel,
        results,
        work.ld_results,
    )


def _multiply[
    dtype: DType, relu: Bool, known: Int
](
    rows: Int,
    k: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    size: Int,
    stride: Int,
    bias: Floats,
    first_panel: Int,
    end_panel: Int,
    c: Floats,
    ldc: Int,
):
    """C = A W + bias, or its ReLU, in the columns of the given panels.

    `k` counts steps, `lda` words; panels lie `size` bytes apart, and steps of one panel `stride`.
    """
    var group = group_of[2](rows)
    var p = first_panel
    while p < end_panel:
        var panel = weights.unsafe_offset(p * size)
        var start = bias.unsafe_offset(p * PANEL)
        var target = c.unsafe_offset(p * PANEL)
        if group > 1 and p + group <= end_panel:
            tile_of[dtype, 2, True, relu, known](rows, k, a, lda, panel, size, stride, start, 0, target, ldc, panel, 0)
            p += group
            continue
        for step in range(0, k, CHUNK_STEPS):
            var chunk = min(CHUNK_STEPS, k - step)
            var row = 0
            while row < rows:
                var end = _tile_end(rows, row)
                var tile_a = a.unsafe_offset(row * lda + step)
                var tile_panel = panel.unsafe_offset(step * stride)
                var tile_c = target.unsafe_offset(row * ldc)
                var begin = start if step == 0 else tile_c
                var begin_stride = 0 if step == 0 else ldc
                var ahead = panel.unsafe_offset(size + _share(step * rows + row * chunk, rows, stride))
                var ahead_stride = _share(end - row, rows, stride)
                if step + chunk == k:
                    tile_of[dtype, 2, False, relu, known](
                        end - row,
                        chunk,
                        tile_a,
                        lda,
                        tile_panel,
                        size,
                        stride,
                        begin,
                        begin_stride,
                        tile_c,
                        ldc,
                        ahead,
                        ahead_stride,
                    )
                else:
                    tile_of[dtype, 2, False](
                        end - row,
                        chunk,
                        tile_a,
                        lda,
                        tile_panel,
                        size,
                        stride,
                        begin,
                        begin_stride,
                        tile_c,
                        ldc,
                        ahead,
                        ahead_stride,
                    )
                row = end
        p += 1
