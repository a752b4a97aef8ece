"""The register tile without what makes it one: its sums in memory, or one after the other."""

from .format import LANES
from .memory import Bytes, Floats
from .step import finished, load, multiply_add


@no_inline
def run_time_tile[
    dtype: DType, vectors: Int, relu: Bool
](
    rows: Int,
    panels: Int,
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    panel_stride: Int,
    step_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
):
    """`tile` whose rows and panels are known only now: a sum has no register of its own and stands in C."""
    for i in range(rows):
        for j in range(panels * vectors):
            c.unsafe_store(i * ldc + j * LANES, start.unsafe_load[width=LANES](i * start_stride + j * LANES))
    for step in range(steps):
        var row = a.unsafe_offset(step)
        for j in range(panels * vectors):
            var panel = weights.unsafe_offset(j // vectors * panel_stride + step * step_stride)
            var loaded = load[dtype](panel, j % vectors * LANES)
            for i in range(rows):
                var sum = c.unsafe_load[width=LANES](i * ldc + j * LANES)
                sum = multiply_add[dtype](row[unsafe_offset=i * lda], loaded, sum)
                c.unsafe_store(i * ldc + j * LANES, sum)
    for i in range(rows):
        for j in range(panels * vectors):
            c.unsafe_store(i * ldc + j * LANES, finished[relu](c.unsafe_load[width=LANES](i * ldc + j * LANES)))


@no_inline
def one_sum_tile[
    dtype: DType, vectors: Int, relu: Bool
](
    rows: Int,
    panels: Int,
    steps: Int,
    a: Floats,
    lda: Int,
    weights: Bytes,
    panel_stride: Int,
    step_stride: Int,
    start: Floats,
    start_stride: Int,
    c: Floats,
    ldc: Int,
):
    """`tile` as dot products one after the other: every addition waits for the one before it, 4 cycles."""
    for i in range(rows):
        for j in range(panels * vectors):
            var sum = start.unsafe_load[width=LANES](i * start_stride + j * LANES)
            var panel = weights.unsafe_offset(j // vectors * panel_stride)
            for step in range(steps):
                var loaded = load[dtype](panel.unsafe_offset(step * step_stride), j % vectors * LANES)
                sum = multiply_add[dtype](a[unsafe_offset=i * lda + step], loaded, sum)
            c.unsafe_store(i * ldc + j * LANES, finished[relu](sum))
