"""Clock readings inside a kernel, compiled in by `-D MOE_STAMPS` alone."""

from std.sys import is_defined
from std.sys._assembly import inlined_assembly
from max.gpu import block_idx, grid_dim

from hopper.memory import U32P


comptime COUNTERS = 8192
"""Words of the counters, which the readings follow."""


@inline(.always)
def stamp[i: Int](sync: U32P, thread: Int):
    """Stores the multiprocessor's cycle count as number `i` of the block's sixteen, by one thread, past all counters.
    """
    comptime if is_defined["MOE_STAMPS"]():
        if thread == 0:
            var t = inlined_assembly["mov.u64 $0, %clock64;", UInt64, constraints="=l", has_side_effect=True]()
            sync.unsafe_offset(COUNTERS).unsafe_bitcast[UInt64]()[
                unsafe_offset=(
                    (Int(block_idx.z) * Int(grid_dim.y) + Int(block_idx.y)) * Int(grid_dim.x) + Int(block_idx.x)
                )
                * 16
                + i
            ] = t
