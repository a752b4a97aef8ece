"""The tables of the schedule: running sums over the experts of pairs and of tiles of both matmuls."""

from std.utils.static_tuple import StaticTuple
from max.gpu import lane_id

from hopper.grid import CONSUMERS_BARRIER
from hopper.layer import Layer
from hopper.ptx import shift_up, wait_barrier
from hopper.schedule import rows_and_tiles
from hopper.shape import Block, Shape


@inline(.always)
def add_up_tables[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], thread: Int):
    """All consumers, two experts a thread: from pairs per expert in table 0 to the running sums of pairs and of tiles.
    """
    comptime warps = shape.consumers * 4
    var experts = Int(a.n_experts)
    var lane = Int(lane_id())
    var warp = thread // 32
    var e = 2 * thread
    var own = StaticTuple[SIMD[DType.int32, 4], 2]()
    comptime for i in range(2):
        var rows = Int(block.table(0)[unsafe_offset=e + i]) if e + i < experts else 0
        own[i] = rows_and_tiles[dtype, shape](a, rows)
    var sums = own[0] + own[1]
    comptime for s in range(5):
        # Three shuffles on their way together.
        var below = SIMD[DType.int32, 4](
            shift_up(sums[0], 1 << s), shift_up(sums[1], 1 << s), shift_up(sums[2], 1 << s), 0
        )
        sums += below if lane >= (1 << s) else SIMD[DType.int32, 4](0)
    if lane == 31:
        block.totals().unsafe_offset(4 * warp).unsafe_store[alignment=16](sums)
    wait_barrier[CONSUMERS_BARRIER](warps * 32)
    var before = sums - own[0] - own[1]
    var all = SIMD[DType.int32, 4](0)
    comptime for w in range(warps):
        var total = block.totals().unsafe_offset(4 * w).unsafe_load[width=4, alignment=16]()
        before += total if w < warp else SIMD[DType.int32, 4](0)
        all += total
    comptime for c in range(3):
        comptime for i in range(2):
            if e + i < experts:
                block.table(c)[unsafe_offset=e + i] = before[c] + (own[0][c] if i == 1 else Int32(0))
        if thread == 0:
            block.table(c)[unsafe_offset=experts] = all[c]
