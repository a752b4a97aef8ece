"""The kernel for small layers: the whole layer in one cooperative launch, every block alone until the sum at its end.

A block takes one expert, a slice of its hidden features and a range of at most 128 tokens. It routes the range itself (small_route.mojo), computes its slice of both matmuls for the
rows that chose its expert, and writes its part of their outputs. Last, the blocks of a range sum the parts of its tokens,
each for some of them, as the parts come in (small_parts.mojo): no barrier anywhere.

Every block asks for its rows before anything else, since all that it does waits for them; behind 160 KiB of weights they
came 2 us later.
"""

from std.utils.static_tuple import StaticTuple
from max.gpu import MAX_THREADS_PER_BLOCK_METADATA, thread_idx
from max.gpu.memory import external_memory, fence_async_view_proxy, fence_mbarrier_init
from max.gpu.sync import syncwarp
from layout import Coord, TileTensor, row_major
from layout.tma_async import TMATensorTile

from hopper.layer import Layer
from hopper.producer import Ring
from hopper.ptx import admit_next_launch, arrive_cluster, await_launch_before, wait_barrier, wait_cluster
from hopper.schedule import weight_boxes
from hopper.shape import GROUP_ROWS, ROW_BYTES
from hopper.small_combine import combine_range
from hopper.small_matmul import first_matmul, meet_computing, second_matmul, skip_stages
from hopper.small_pair import FIRST_STAGES, fetch_stage, second_of_pair, serve_pair
from hopper.small_parts import clear_other_set, take_turn
from hopper.small_route import route_range
from hopper.small_shape import (
    ASKED_BARRIER,
    COMPUTING,
    Part,
    READY_BARRIER,
    SLAB_BYTES,
    SmallBlock,
    SmallShape,
    THREADS,
    WIDTHS,
)
from hopper.stamp import stamp


@__llvm_metadata(MAX_THREADS_PER_BLOCK_METADATA=StaticTuple[Int32, 1](Int32(THREADS)))
@__llvm_arg_metadata(first_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(second_map, `nvvm.grid_constant`)
def small_layer[
    dtype: DType, gated: Bool, shape: SmallShape, ts: Coord, ds: Coord
](first_map: TMATensorTile[dtype, ts, ds], second_map: TMATensorTile[dtype, ts, ds], a: Layer[dtype]):
    """The layer.

    Parameters:
        dtype: Of activations and weights.
        gated: Whether weight rows of the first matmul come in pairs (up, gate).
        shape: The compiled variant.
        ts: Shape of the tensor maps' boxes: 128 rows by 128 bytes.
        ds: As above, as the descriptor has it.

    Args:
        first_map: First weights [E * rows1, K].
        second_map: Second weights [E * d_stride, K].
        a: Everything else. `tokens1` is the tokens of a range, `splits` the slices of an expert; `expert_out` and `hidden` are the two sets of parts.
    """
    var block = SmallBlock[dtype, shape](
        external_memory[UInt8, address_space=.SHARED, alignment=1024]().unsafe_origin_cast[MutUntrackedOrigin]()
    )
    var thread = Int(thread_idx.x)
    var part = Part.of(a)
    admit_next_launch()
    comptime if shape.paired:
        if thread < COMPUTING:
            arrive_cluster()
    stamp[0](a.sync, thread)
    if thread >= COMPUTING:
        fetch_slices[gated](a, block, part, first_map, second_map, thread - COMPUTING)
        return
    var rows = route_range(a, block, part, thread)
    fence_async_view_proxy()
    comptime if shape.paired:
        wait_cluster()
    meet_computing()
    stamp[4](a.sync, thread)
    if rows == 0:
        comptime if shape.paired:
            # Only what was fetched before rows were counted.
            for stage in range(FIRST_STAGES + 1):
                block.full()[unsafe_offset=stage].wait(0)
        else:
            skip_stages[gated](block, thread)
    # One instance for each of few widths of `wgmma`: a block that takes another than in the launch before waits for its
    # instructions, and of a range's experts the one with the most rows is waited for in any case.
    comptime for i in range(len(WIDTHS)):
        comptime n = WIDTHS[i]
        comptime below = 0 if i == 0 else WIDTHS[i - 1]
        if rows > below and rows <= n:
            first_matmul[gated, n](a, block, part, thread)
            stamp[6](a.sync, thread)
            comptime if shape.paired:
                second_of_pair[gated, n](a, block, part, thread, rows)
            else:
                second_matmul[gated, n](a, block, part, thread, rows)
    stamp[8](a.sync, thread)
    combine_range(a, block, part, thread)
    stamp[9](a.sync, thread)


@inline(.always)
def fetch_slices[
    dtype: DType, shape: SmallShape, ts: Coord, ds: Coord, //, gated: Bool
](
    a: Layer[dtype],
    block: SmallBlock[dtype, shape],
    part: Part,
    first_map: TMATensorTile[dtype, ts, ds],
    second_map: TMATensorTile[dtype, ts, ds],
    thread: Int,
):
    """One warp: the block's slices of both weights, as many stages ahead as fit.

    It also puts the parts of the launch before in order.
    """
    comptime firsts = shape.first_stages()
    comptime all = firsts + (0 if shape.paired else shape.second_stages(gated))
    comptime ahead = min(all, shape.stages())
    var rows1 = Int(a.rows1)
    var from_ = part.slice * shape.groups * GROUP_ROWS
    var hidden = from_ // 2 if gated else from_
    var ring = Ring(0, 1)

    @inline(.always)
    @__parameter
    def fetch(stage: Int):
        var second = stage >= firsts
        var boxes = weight_boxes[dtype](a.k1 if second else a.k0)
        # Where there are no weights, rows before the first are zero.
        var own = hidden // 64 + stage - firsts if second else stage
        var group = (
            part.expert * Int(a.d_stride) // GROUP_ROWS if second else (part.expert * rows1 + from_) // GROUP_ROWS
        )
        var groups = shape.groups if second else (rows1 - from_) // GROUP_ROWS
        block.full()[unsafe_offset=ring.stage()].expect_bytes(Int32(shape.groups * SLAB_BYTES))
        comptime for g in range(shape.groups):
            var to = TileTensor(
                block.weights(ring.stage()).unsafe_offset(g * (SLAB_BYTES // 2)),
                row_major[GROUP_ROWS, ROW_BYTES // 2](),
            )
            var box = (group + g) * boxes + own if own < boxes and g < groups else -1
            if second:
                second_map.async_copy(to, block.full()[unsafe_offset=ring.stage()], (0, box * GROUP_ROWS))
            else:
                first_map.async_copy(to, block.full()[unsafe_offset=ring.stage()], (0, box * GROUP_ROWS))
        ring.advance[shape.stages()]()

    if thread == 0:
        comptime for s in range(8 if shape.paired else shape.stages()):
            block.full()[unsafe_offset=s].init(1)
        comptime for s in range(shape.stages()):
            block.empty()[unsafe_offset=s].init(2)
        comptime if shape.paired:
            block.ready()[].init(1)
            block.late()[].init(1)
            comptime for s in range(4):
                block.landed()[unsafe_offset=s].init(1)
        fence_mbarrier_init()
    syncwarp()
    comptime if shape.paired:
        arrive_cluster()
    wait_barrier[ASKED_BARRIER](THREADS)
    if thread == 0:
        for stage in range(ahead):
            fetch(stage)
        comptime if shape.paired:
            fetch_stage[gated](a, block, part, second_map, 0)
    await_launch_before()
    var turn = take_turn(a, thread)
    if thread == 0:
        block.set()[unsafe_offset=0] = turn
    syncwarp()
    wait_barrier[READY_BARRIER](THREADS)
    clear_other_set[shape](a, turn, thread)
    comptime if shape.paired:
        serve_pair[gated](a, block, part, second_map, thread)
    else:
        if thread == 0:
            for stage in range(ahead, all):
                block.empty()[unsafe_offset=ring.stage()].wait(ring.parity)
                fetch(stage)
