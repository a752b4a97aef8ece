"""The two matmuls of an expert, for any of its rows and any of its panels of weights."""

from .ablation import D_FF, D_MODEL
from .activation import ACTIVATIONS, RELU, store_hidden
from .amx_matmul import SUMS_ONLY, amx_matmul
from .format import (
    PANEL,
    TILE_ROWS,
    chunk_steps,
    operand,
    paired,
    step_bytes,
    steps,
    terms,
    tiled,
    widened,
)
from .layer import Layer
from .memory import Address, Bytes, Floats, at
from .pack import copy_operands
from .panels import Panels
from .step import widen_panel
from .tile import group_of, tile_of, tiles_of
from .workspace import Workspace, block_rows


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
        copy_operands[dtype, dtype](at[Scalar[dtype]](work.x).unsafe_offset(token * d), d, row)


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
    var group = group_of[2](rows)
    var p = first_panel
    comptime if tiled[dtype]():
        if layer.tiles:
            comptime for kind in range(ACTIVATIONS):
                comptime for gated in range(2):
                    if layer.activation == kind and layer.gated == (gated == 1):
                        amx_matmul[kind, gated == 1](
                            matrix,
                            first_panel,
                            end_panel,
                            rows,
                            0,
                            k,
                            a,
                            lda,
                            sums,
                            PANEL,
                            hidden.unsafe_bitcast[BFloat16](),
                            work.ld_hidden,
                            sums,
                            after,
                        )
            p = end_panel
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
    comptime if tiled[dtype]():
        if layer.tiles:
            amx_matmul[SUMS_ONLY, False](
                matrix,
                first_panel,
                end_panel,
                rows,
                first,
                end,
                _words[dtype](hidden, 0),
                _word_count[dtype](work.ld_hidden),
                results,
                work.ld_results,
                hidden.unsafe_bitcast[BFloat16](),
                0,
                sums,
                after,
            )
            return
    var group = group_of[2](rows)
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
