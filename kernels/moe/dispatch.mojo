"""Slots sorted by expert, and the blocks of rows that threads share out."""

from .format import tile_rows
from .layer import Layer
from .memory import at, round_up
from .workspace import Workspace, block_rows, hidden_stride, smallest_block, stands_whole


def dispatch[dtype: DType](layer: Layer, mut work: Workspace):
    """Every slot has a row, rows of one expert neighbour each other in the order of tokens, and blocks cover all rows.

    A counting sort: two passes over the slots, one over the experts. An expert without tokens has no block.
    """
    var ids = at[Int32](work.ids)
    var firsts = at[Int](work.expert_rows)
    var cursors = at[Int](work.cursors)
    for e in range(layer.experts):
        cursors[unsafe_offset=e] = 0
    for slot in range(work.slots):
        cursors[unsafe_offset=Int(ids[unsafe_offset=slot])] += 1
    var row = 0
    for e in range(layer.experts):
        firsts[unsafe_offset=e] = row
        row += cursors[unsafe_offset=e]
        cursors[unsafe_offset=e] = firsts[unsafe_offset=e]
    firsts[unsafe_offset=layer.experts] = row
    var slot = 0
    for token in range(work.tokens):
        for _ in range(layer.top_k):
            var e = Int(ids[unsafe_offset=slot])
            var place = cursors[unsafe_offset=e]
            cursors[unsafe_offset=e] = place + 1
            at[Int32](work.row_of_slot)[unsafe_offset=slot] = Int32(place)
            at[Int32](work.token_of_row)[unsafe_offset=place] = Int32(token)
            slot += 1
    _cut_blocks[dtype](layer, work)


def dispatch_shared[dtype: DType](layer: Layer, work: Workspace) -> Workspace:
    """The workspace of the shared expert: row t is token t, and its results follow those of the slots.

    Once the other experts have run: it takes the place of their rows and blocks.
    """
    var alone = layer.shared_expert()
    var own = work
    own.slots = work.tokens
    own.results = work.results + 4 * work.slots * work.ld_results
    own.ld_hidden = hidden_stride[dtype](alone, work.tokens)
    own.whole = stands_whole[dtype](alone, work.tokens)
    for token in range(work.tokens):
        at[Int32](own.token_of_row)[unsafe_offset=token] = Int32(token)
    at[Int](own.expert_rows)[unsafe_offset=0] = 0
    at[Int](own.expert_rows)[unsafe_offset=1] = work.tokens
    _cut_blocks[dtype](alone, own)
    return own


def _cut_blocks[dtype: DType](layer: Layer, mut work: Workspace):
    """Blocks are `block_rows` rows, and smaller near the end: the threads finish within a small block of each other.

    With R rows left for n threads a block takes R / n of them (guided self-scheduling, Polychronopoulos and Kuck 1987),
    and an expert's are alike. R / (2 n), in smaller blocks of AMX, took 4 to 6 % more time.
    """
    var blocks = at[Int32](work.blocks)
    var shares = layer.pool.threads()
    var count = 0
    for e in range(layer.experts):
        var first = at[Int](work.expert_rows)[unsafe_offset=e]
        var end = at[Int](work.expert_rows)[unsafe_offset=e + 1]
        while first < end:
            var fair = round_up((work.slots - first) // shares, tile_rows[dtype]())
            var most = max(smallest_block[dtype](), min(block_rows[dtype](), fair))
            var left = end - first
            var count_left = (left + most - 1) // most
            var rows = min(left, round_up((left + count_left - 1) // count_left, tile_rows[dtype]()))
            blocks[unsafe_offset=3 * count] = Int32(first)
            blocks[unsafe_offset=3 * count + 1] = Int32(rows)
            blocks[unsafe_offset=3 * count + 2] = Int32(e)
            count += 1
            first += rows
    work.block_count = count
