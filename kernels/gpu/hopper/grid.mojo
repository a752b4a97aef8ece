"""A barrier over all blocks of a cooperative launch."""

from max.gpu import block_idx, grid_dim

from hopper.memory import U32P
from hopper.ptx import add_release, load_acquire, wait_barrier

comptime CONSUMERS_BARRIER = 1
comptime START_BARRIER = 2
comptime SORTED_BARRIER = 3
"""Named barrier of all threads of a block: the tables of the schedule are there."""


@inline(.always)
def meet_all_blocks(word: U32P, thread: Int, threads: Int):
    """Waits until the consumers of every block are here; what they wrote before is visible after. About 0.9 us.

    The top bit of the word flips once a round, so the word needs no reset between rounds or launches.

    Args:
        word: Zero before its first use.
        thread: This thread's number among the block's consumers.
        threads: How many those are.
    """
    wait_barrier[CONSUMERS_BARRIER](threads)
    if thread == 0:
        var step = UInt32(1)
        if block_idx.x == 0:
            step = UInt32(0x80000000) - UInt32(grid_dim.x) + 1
        var before = add_release(word, step)
        while ((before ^ load_acquire(word)) & 0x80000000) == 0:
            pass
    wait_barrier[CONSUMERS_BARRIER](threads)
