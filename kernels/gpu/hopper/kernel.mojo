"""The kernel: the whole layer in one cooperative launch, one block a multiprocessor.

route -> (grid barrier) -> sort -> (grid barrier) -> both matmuls -> (grid barrier) -> combine. Between the matmuls there
is no barrier: a tile of the second waits for the hidden rows it reads, while its weights are already on their way. Of few
tokens there is no barrier at all (few_words.mojo).
"""

from std.utils.static_tuple import StaticTuple
from max.gpu import MAX_THREADS_PER_BLOCK_METADATA, block_idx, thread_idx
from max.gpu.intrinsics import warpgroup_reg_alloc, warpgroup_reg_dealloc
from max.gpu.memory import external_memory, fence_mbarrier_init
from max.gpu.sync import barrier, syncwarp
from layout import Coord
from layout.tma_async import TMATensorTile

from hopper.combine import combine
from hopper.few_choice import await_choices, choose_awaited
from hopper.few_logits import publish_logits, publish_products
from hopper.few_rows import combine_few, gather_hidden
from hopper.few_sort import clear_counts, sort_few, sort_some
from hopper.few_words import launch_number
from hopper.combine_rows import fetch_summands, sum_summands
from hopper.consumer import consume_matmul
from hopper.grid import CONSUMERS_BARRIER, SORTED_BARRIER, START_BARRIER, meet_all_blocks
from hopper.layer import Layer, ROUTE_BY_TILES
from hopper.memory import Shared
from hopper.producer import (
    Ring,
    by_words,
    fetch_tokens,
    fetch_weights,
    gather_rows,
    gather_tokens,
    router_stages,
)
from hopper.ptx import admit_next_launch, await_launch_before, fence_async_global, wait_barrier
from hopper.route import logits_by_dots, stage_inputs
from hopper.schedule import FIRST, ROUTER, SECOND, Turn, count_tiles, finished_slots
from hopper.shape import Block, GATHERERS, SUM_STAGES, Shape, TURNS
from hopper.stamp import stamp
from hopper.sort import clear_finished, count_pairs, place_pairs, sort_rows


@__llvm_metadata(MAX_THREADS_PER_BLOCK_METADATA=StaticTuple[Int32, 1](Int32(shape.threads())))
@__llvm_arg_metadata(router_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(first_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(second_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(staged_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(sorted_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(hidden_map, `nvvm.grid_constant`)
def moe_layer[
    dtype: DType, gated: Bool, shape: Shape, ts: Coord, ds: Coord, rts: Coord, rds: Coord
](
    router_map: TMATensorTile[dtype, ts, ds],
    first_map: TMATensorTile[dtype, ts, ds],
    second_map: TMATensorTile[dtype, ts, ds],
    staged_map: TMATensorTile[dtype, rts, rds],
    sorted_map: TMATensorTile[dtype, rts, rds],
    hidden_map: TMATensorTile[dtype, rts, rds],
    a: Layer[dtype],
):
    """The layer.

    Parameters:
        dtype: Of activations and weights.
        gated: Whether weight rows of the first matmul come in pairs (up, gate).
        shape: Tiles and stages.
        ts: Shape of the tensor maps' boxes: 128 rows by 128 bytes.
        ds: As above, as the descriptor has it.
        rts: Shape of the boxes of rows: BOX_ROWS rows by 128 bytes.
        rds: As above, as the descriptor has it.

    Args:
        router_map: Router weights [E padded to 128, K].
        first_map: First weights [E * rows1, K].
        second_map: Second weights [E * d_stride, K].
        staged_map: Staged activations [T, staged_stride].
        sorted_map: The same sorted by expert [T k, sorted_stride].
        hidden_map: Hidden activations [T k, hidden_stride].
        a: Everything else.
    """
    whole_layer[gated, shape](router_map, first_map, second_map, staged_map, sorted_map, hidden_map, a)


@__llvm_metadata(MAX_THREADS_PER_BLOCK_METADATA=StaticTuple[Int32, 1](Int32(shape.threads())))
@__llvm_metadata(`nvvm.minctasm`=SIMDLength(1))
@__llvm_arg_metadata(router_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(first_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(second_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(staged_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(sorted_map, `nvvm.grid_constant`)
@__llvm_arg_metadata(hidden_map, `nvvm.grid_constant`)
def moe_layer_float32[
    dtype: DType, gated: Bool, shape: Shape, ts: Coord, ds: Coord, rts: Coord, rds: Coord
](
    router_map: TMATensorTile[dtype, ts, ds],
    first_map: TMATensorTile[dtype, ts, ds],
    second_map: TMATensorTile[dtype, ts, ds],
    staged_map: TMATensorTile[dtype, rts, rds],
    sorted_map: TMATensorTile[dtype, rts, rds],
    hidden_map: TMATensorTile[dtype, rts, rds],
    a: Layer[dtype],
):
    """The same for float32: with its attribute ptxas knows the registers at entry.

    Without, it leaves 168 to the consumers of wide tiles, where 232 are asked for, and spills 964 bytes; bfloat16 it compiles
    worse with it, with 216 bytes and not 36.
    """
    whole_layer[gated, shape](router_map, first_map, second_map, staged_map, sorted_map, hidden_map, a)


@inline(.always)
def whole_layer[
    dtype: DType, ts: Coord, ds: Coord, rts: Coord, rds: Coord, //, gated: Bool, shape: Shape
](
    router_map: TMATensorTile[dtype, ts, ds],
    first_map: TMATensorTile[dtype, ts, ds],
    second_map: TMATensorTile[dtype, ts, ds],
    staged_map: TMATensorTile[dtype, rts, rds],
    sorted_map: TMATensorTile[dtype, rts, rds],
    hidden_map: TMATensorTile[dtype, rts, rds],
    a: Layer[dtype],
):
    """What each of a block's threads does; arguments as those of `moe_layer`."""
    var block = Block[dtype, shape](
        external_memory[UInt8, address_space=.SHARED, alignment=1024]().unsafe_origin_cast[MutUntrackedOrigin]()
    )
    var thread = Int(thread_idx.x)
    if thread == 0:
        router_map.prefetch_descriptor()
        first_map.prefetch_descriptor()
        second_map.prefetch_descriptor()
        comptime for s in range(shape.stages):
            # Weights arrive once; so do token rows, but each gathering thread's copies by themselves.
            block.full()[unsafe_offset=s].init(Int32(GATHERERS + 1 if shape.gathers else 2))
            block.empty()[unsafe_offset=s].init(Int32(shape.consumers))
        comptime if not shape.gathers:
            comptime for s in range(SUM_STAGES):
                block.sum_full()[unsafe_offset=s].init(1)
                block.sum_empty()[unsafe_offset=s].init(Int32(shape.consumers * 4))
            comptime for s in range(TURNS):
                block.turned()[unsafe_offset=s].init(1)
            comptime for s in range(shape.stages):
                block.landed()[unsafe_offset=s].init(Int32(GATHERERS))
        fence_mbarrier_init()
    admit_next_launch()
    await_launch_before()
    barrier()
    if thread >= shape.consumers * 128:
        comptime if shape.consumers == 2:
            warpgroup_reg_dealloc[40]()
        produce(
            block,
            router_map,
            first_map,
            second_map,
            staged_map,
            sorted_map,
            hidden_map,
            a,
            thread - shape.consumers * 128,
        )
    else:
        comptime if shape.consumers == 2:
            warpgroup_reg_alloc[232]()
        consume[gated](block, a, thread)


@inline(.always)
def produce[
    dtype: DType, shape: Shape, ts: Coord, ds: Coord, rts: Coord, rds: Coord
](
    block: Block[dtype, shape],
    router_map: TMATensorTile[dtype, ts, ds],
    first_map: TMATensorTile[dtype, ts, ds],
    second_map: TMATensorTile[dtype, ts, ds],
    staged_map: TMATensorTile[dtype, rts, rds],
    sorted_map: TMATensorTile[dtype, rts, rds],
    hidden_map: TMATensorTile[dtype, rts, rds],
    a: Layer[dtype],
    thread: Int,
):
    """The producer warpgroup: warp 0 for weights, the others for tokens."""
    var ring = Ring(0, 1)
    var turn = Turn.first()
    comptime if shape.gathers:
        if thread == 0:
            block.launch()[unsafe_offset=0] = launch_number(a)
        syncwarp()
    wait_barrier[START_BARRIER](shape.threads())
    comptime if not shape.few():
        if Int(a.route) == ROUTE_BY_TILES:
            if thread == 0:
                fetch_weights[ROUTER](a, block, router_map, ring, turn, 0)
            comptime if shape.gathers:
                if thread >= 32:
                    gather_tokens[ROUTER](a, block, thread - 32, ring, turn, 0)
            else:
                if thread == 32:
                    fetch_tokens[ROUTER](a, block, staged_map, ring, turn, 0)
                else:
                    # They gather the next rows: each must be at the same stage.
                    if thread > 32:
                        ring.skip[shape.stages](router_stages(a, block))
        syncwarp()
    wait_barrier[SORTED_BARRIER](shape.threads())
    turn = Turn.first()
    var tiles = count_tiles[FIRST](a, block)
    comptime if not shape.gathers:
        if thread == 0:
            turn.hand_on[FIRST](a, block)
        else:
            if thread >= 32:
                turn.follow(block)
    if thread == 0:
        fetch_weights[FIRST](a, block, first_map, ring, turn, 0)
        fetch_weights[SECOND](a, block, second_map, ring, turn, tiles)
    comptime if shape.gathers:
        if thread >= 32:
            gather_tokens[FIRST](a, block, thread - 32, ring, turn, 0)
            comptime if shape.few():
                gather_hidden(a, block, thread - 32, ring, turn, tiles)
            else:
                gather_tokens[SECOND](a, block, thread - 32, ring, turn, tiles)
        comptime if shape.few():
            # By these warps, which have got as far as to wait for the first outputs when the consumers store their last.
            syncwarp()
            combine_few(a, block, thread)
            stamp[10](a.sync, thread)
    else:
        if Int(a.sorted) == 0:
            if thread >= 32:
                gather_rows(a, block, thread - 32, ring, turn)
        elif thread == 32:
            fetch_tokens[FIRST](a, block, sorted_map, ring, turn, 0)
        if thread == 32:
            fetch_tokens[SECOND](a, block, hidden_map, ring, turn, tiles)
        syncwarp()
        wait_barrier[START_BARRIER](shape.threads())
        if thread < 32:
            fetch_summands(a, block, thread)


@inline(.always)
def consume[dtype: DType, shape: Shape, //, gated: Bool](block: Block[dtype, shape], a: Layer[dtype], thread: Int):
    """The consumer warpgroups: routing, sorting, tensor cores, combining."""
    comptime threads = shape.consumers * 128
    var ring = Ring(0, 0)
    stamp[0](a.sync, thread)
    if a.stage_inputs != 0:
        stage_inputs(a, thread, threads)
        meet_all_blocks(a.sync, thread, threads)
    if by_words[dtype, shape](a):
        route_by_words(block, a, thread)
    else:
        comptime if not shape.few():
            route_by_barriers(block, a, thread, ring)
    stamp[6](a.sync, thread)
    wait_barrier[SORTED_BARRIER](shape.threads())
    var turn = Turn.first()
    comptime if not shape.gathers:
        turn.follow(block)
    consume_matmul[gated, FIRST](a, block, thread, ring, turn, 0)
    stamp[7](a.sync, thread)
    consume_matmul[gated, SECOND](a, block, thread, ring, turn, count_tiles[FIRST](a, block))
    stamp[8](a.sync, thread)
    comptime if not shape.few():
        comptime if not shape.gathers:
            # The last step reads what this thread stored through asynchronous copies.
            fence_async_global()
        meet_all_blocks(a.sync, thread, threads)
        stamp[9](a.sync, thread)
        comptime if shape.gathers:
            combine(a, block, thread, threads)
        else:
            wait_barrier[START_BARRIER](shape.threads())
            sum_summands(a, block, thread)
        stamp[10](a.sync, thread)


@inline(.always)
def route_by_words[dtype: DType, shape: Shape, //](block: Block[dtype, shape], a: Layer[dtype], thread: Int):
    """Routes and sorts few tokens: nobody waits but for words that he reads."""
    comptime threads = shape.consumers * 128
    comptime if not shape.few():
        clear_counts(block, thread, threads)
    comptime if shape.few() or dtype == DType.float32:
        publish_logits(a, block, thread)
    else:
        publish_products(a, block, thread)
    stamp[1](a.sync, thread)
    comptime if shape.few():
        if thread // 32 < Int(a.n_tokens):
            choose_awaited(a, block, thread // 32)
        stamp[2](a.sync, thread)
        wait_barrier[CONSUMERS_BARRIER](threads)
        if thread < 32:
            sort_few(a, block, thread)
        # Racecheck takes the tables for a race with the producers' reads unless the consumers have met before.
        wait_barrier[CONSUMERS_BARRIER](threads)
    else:
        # The other set of counters: the last reader of these was the launch before.
        var other = 1 - Int(block.launch()[unsafe_offset=0] & 1)
        clear_finished(a.finished.unsafe_offset(other * finished_slots(a)), finished_slots(a), thread, threads)
        if thread < 32 and Int(block_idx.x) < Int(a.n_tokens):
            choose_awaited(a, block, Int(block_idx.x))
        # What the warps told each other of the logits lies where the tokens of sorted pairs will.
        wait_barrier[CONSUMERS_BARRIER](threads)
        stamp[2](a.sync, thread)
        await_choices(a, block, thread, threads)
        stamp[3](a.sync, thread)
        sort_some(a, block, thread, threads)


@inline(.always)
def route_by_barriers[
    dtype: DType, shape: Shape, //
](block: Block[dtype, shape], a: Layer[dtype], thread: Int, mut ring: Ring):
    """Routes and sorts any number of tokens, each step by all blocks together."""
    comptime threads = shape.consumers * 128
    # One more than of blocks of rows: taken_tiles.
    clear_finished(a.finished, finished_slots(a) + 1, thread, threads)
    wait_barrier[START_BARRIER](shape.threads())
    if Int(a.route) == ROUTE_BY_TILES:
        var turn = Turn.first()
        consume_matmul[False, ROUTER](a, block, thread, ring, turn, 0)
    else:
        logits_by_dots(a, block, thread, threads)
    stamp[1](a.sync, thread)
    meet_all_blocks(a.sync, thread, threads)
    stamp[2](a.sync, thread)
    count_pairs(a, block, thread, threads)
    stamp[3](a.sync, thread)
    meet_all_blocks(a.sync, thread, threads)
    stamp[4](a.sync, thread)
    place_pairs(a, block, thread, threads)
    comptime if not shape.gathers:
        if Int(a.sorted) != 0:
            sort_rows(a, thread, threads)
    stamp[5](a.sync, thread)
    meet_all_blocks(a.sync, thread, threads)
