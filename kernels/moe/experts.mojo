"""The two matmuls of an expert, for any of its rows and any of its panels of weights."""

from .ablation import D_FF, D_MODEL
from .activation import RELU, store_hidden
from .amx import amx_tiles, bytes_fetched
from .format import (
    AMX_ROWS,
    AMX_STEPS,
    PANEL,
    TILE_ROWS,
    chunk_steps,
    operand,
    paired,
    panel_bytes,
    panel_stride,
    step_bytes,
    step_stride,
    steps,
    terms,
    tiled,
    widened,
)
from .layer import Layer
from .memory import Address, Bytes, Floats, at
from .pack import copy_cast
from .tile import group_of, tile_of, tiles_of, widen_panel
from .workspace import Workspace, block_rows


@fieldwise_init
struct Panels(Copyable, ImplicitlyCopyable, Movable):
    """The packed panels of one matrix of one expert, and the bias in their order."""

    var weights: Bytes
    var bias: Floats
    var panel_stride: Int  # bytes from one panel to the next
    var step_stride: Int  # bytes from one step of a panel to the next
    var tiles: Bool  # whether AMX multiplies them

    @staticmethod
    def first[dtype: DType](layer: Layer, expert: Int) -> Panels:
        """Those of w1, or of w_gate beside w1."""
        var count = layer.first_panels()
        return Panels(
            weights=at[UInt8](layer.first + expert * count * panel_bytes[dtype](layer.d_model)),
            bias=at[Float32](layer.first_bias).unsafe_offset(expert * count * PANEL),
            panel_stride=panel_stride[dtype](layer.d_model),
            step_stride=step_stride[dtype](count),
            tiles=layer.tiles,
        )

    @staticmethod
    def second[dtype: DType](layer: Layer, expert: Int) -> Panels:
        """Those of w2."""
        var count = layer.second_panels()
        return Panels(
            weights=at[UInt8](layer.second + expert * count * panel_bytes[dtype](layer.d_ff)),
            bias=at[Float32](layer.second_bias).unsafe_offset(expert * count * PANEL),
            panel_stride=panel_stride[dtype](layer.d_ff),
            step_stride=step_stride[dtype](count),
            tiles=layer.tiles,
        )

    @always_inline
    def at(self, panel: Int, step: Int) -> Bytes:
        """Where a step of a panel begins."""
        return self.weights.unsafe_offset(panel * self.panel_stride + step * self.step_stride)


@always_inline
def _known_steps[dtype: DType](k: Int) -> Int:
    """The steps of a tile over `k` terms where the compiler knows `k` and they are done at once; else 0."""
    return steps[dtype](k) if steps[dtype](k) <= chunk_steps[dtype]() else 0


def gather_rows[dtype: DType](layer: Layer, work: Workspace, first: Int, count: Int, target: Int):
    """`target` [count, ld_rows] holds the tokens of the rows from `first` on, as operands."""
    comptime to = operand[dtype]()
    var d = layer.compiled().d_model
    for i in range(count):
        var token = Int(at[Int32](work.token_of_row)[unsafe_offset=first + i])
        var row = at[Scalar[to]](target).unsafe_offset(i * work.ld_rows)
        copy_cast(at[Scalar[dtype]](work.x).unsafe_offset(token * d), d, row)
        # What fills the last step up meets zero weights, and must not be a NaN that was left here.
        for rest in range(d, terms[dtype](d)):
            row[unsafe_offset=rest] = 0


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
    after: Bytes,
):
    """`hidden` [rows, ld_hidden] holds the units of the given panels: act(x W1 + b1), gated or not.

    What is read next is fetched meanwhile: the weights from `after` on, once the last panel is under way.
    """
    var layer = prepared.compiled()
    comptime known = _known_steps[dtype](D_MODEL)
    var k = steps[dtype](layer.d_model)
    var matrix = Panels.first[dtype](layer, expert)
    var a = _words[dtype](inputs, 0)
    var lda = _word_count[dtype](work.ld_rows)
    var units = layer.units_per_panel()
    var group = 1 if layer.tiles else group_of[2](rows)
    var p = first_panel
    while p < end_panel:
        var count = group if p + group <= end_panel else 1
        var next = matrix.at(p + count, 0) if p + count < end_panel else after
        var target = hidden.unsafe_offset((p - first_panel) * units)
        comptime if operand[dtype]() == DType.float32:
            if layer.activation == RELU and not layer.gated:
                # The sums are the hidden units but for their sign: no pass of their own.
                _multiply[dtype, True, known](
                    matrix, p, count, rows, 0, k, a, lda, target.unsafe_bitcast[Float32](), work.ld_hidden, sums, next
                )
                p += count
                continue
        comptime if tiled[dtype]():
            if layer.tiles and k <= chunk_steps[dtype]():
                # 128 rows at a time: their sums, 16 KiB, stay in L1 beside the panel; 8 % of the experts' time.
                var fetched = bytes_fetched(rows)
                for row in range(0, rows, 4 * AMX_ROWS):
                    var part = min(rows - row, 4 * AMX_ROWS)
                    amx_tiles(
                        part,
                        k,
                        a.unsafe_offset(row * lda),
                        lda,
                        matrix.at(p, 0),
                        matrix.step_stride,
                        matrix.bias.unsafe_offset(p * PANEL),
                        0,
                        sums,
                        PANEL,
                        next.unsafe_offset(row // AMX_ROWS * (k // AMX_STEPS) * fetched),
                        fetched,
                    )
                    store_hidden[dtype](
                        layer.activation,
                        layer.gated,
                        part,
                        1,
                        sums,
                        PANEL,
                        target.unsafe_offset(row * work.ld_hidden),
                        work.ld_hidden,
                    )
                p += 1
                continue
        _multiply[dtype, False, known](matrix, p, count, rows, 0, k, a, lda, sums, count * PANEL, sums, next)
        store_hidden[dtype](layer.activation, layer.gated, rows, count, sums, count * PANEL, target, work.ld_hidden)
        p += count
    if end_panel == layer.first_panels():
        # What fills the second matmul's last step up, where panels of a gated layer leave it unwritten.
        for i in range(rows):
            for rest in range(end_panel * units, terms[dtype](layer.d_ff)):
                hidden[unsafe_offset=i * work.ld_hidden + rest - first_panel * units] = 0


def outputs[
    dtype: DType
](
    prepared: Layer,
    work: Workspace,
    expert: Int,
    rows: Int,
    hidden: Address[Scalar[operand[dtype]()]],
    first_unit: Int,
    end_unit: Int,
    first_panel: Int,
    end_panel: Int,
    results: Floats,
    sums: Floats,
    after: Bytes,
):
    """`results` [rows, ld_results] holds the expert's output of the given panels: hidden W2 + b2.

    Of a slice of the hidden units: `hidden` begins with `first_unit`, a whole number of steps, and unless that is 0
    `results` holds the sums up to it.
    """
    var layer = prepared.compiled()
    var matrix = Panels.second[dtype](layer, expert)
    var first = steps[dtype](first_unit)
    var end = steps[dtype](end_unit)
    var group = 1 if layer.tiles else group_of[2](rows)
    var p = first_panel
    while p < end_panel:
        var count = group if p + group <= end_panel else 1
        _multiply[dtype, False, _known_steps[dtype](D_FF)](
            matrix,
            p,
            count,
            rows,
            first,
            end,
            _words[dtype](hidden, 0),
            _word_count[dtype](work.ld_hidden),
            results.unsafe_offset(p * PANEL),
            work.ld_results,
            sums,
            matrix.at(p + count, first) if p + count < end_panel else after,
        )
        p += count


@always_inline
def _multiply[
    dtype: DType, relu: Bool, known: Int
](
    matrix: Panels,
    panel: Int,
    count: Int,
    rows: Int,
    first: Int,
    end: Int,
    a: Floats,
    lda: Int,
    c: Floats,
    ldc: Int,
    sums: Floats,
    next: Bytes,
):
    """C = A W + bias, or its ReLU, for `count` panels: one, or the group that so few rows take at once.

    `lda` counts words; A begins with step `first` of the product, and C holds the sums of the steps before it.
    """
    var bias = matrix.bias.unsafe_offset(panel * PANEL)
    if count > 1:
        tile_of[dtype, 2, True, relu, known](
            rows,
            1,
            end - first,
            a,
            lda,
            matrix.at(panel, first),
            matrix.panel_stride,
            matrix.step_stride,
            bias if first == 0 else c,
            0 if first == 0 else ldc,
            c,
            ldc,
            next,
            0,
        )
        return
    for step in range(first, end, chunk_steps[dtype]()):
        var chunk = min(chunk_steps[dtype](), end - step)
        var last = step + chunk == end
        var tile_a = a.unsafe_offset(step - first)
        var weights = matrix.at(panel, step)
        var start = bias if step == 0 else c
        var start_stride = 0 if step == 0 else ldc
        var ahead = next if last else matrix.at(panel, step + chunk)
        comptime if tiled[dtype]():
            if matrix.tiles:
                amx_tiles(
                    rows,
                    chunk,
                    tile_a,
                    lda,
                    weights,
                    matrix.step_stride,
                    start,
                    start_stride,
                    c,
                    ldc,
                    ahead,
                    bytes_fetched(rows),
                )
                continue
        comptime if widened[dtype]():
            if rows > TILE_ROWS:
                var wide = sums.unsafe_offset(block_rows[dtype]() * PANEL)
                widen_panel[dtype](chunk, weights, matrix.step_stride, wide)
                var bytes = wide.unsafe_bitcast[UInt8]()
                comptime stride = step_bytes[DType.float32]()
                if last:
                    tiles_of[DType.float32, 2, relu, known](
                        rows, chunk, tile_a, lda, bytes, stride, start, start_stride, c, ldc, ahead, matrix.step_stride
                    )
                else:
                    tiles_of[DType.float32, 2](
                        rows, chunk, tile_a, lda, bytes, stride, start, start_stride, c, ldc, ahead, matrix.step_stride
                    )
                continue
        if last:
            tiles_of[dtype, 2, relu, known](
                rows,
                chunk,
                tile_a,
                lda,
                weights,
                matrix.step_stride,
                start,
                start_stride,
                c,
                ldc,
                ahead,
                matrix.step_stride,
            )
        else:
            tiles_of[dtype, 2](
                rows,
                chunk,
                tile_a,
                lda,
                weights,
                matrix.step_stride,
                start,
                start_stride,
                c,
                ldc,
                ahead,
                matrix.step_stride,
            )
