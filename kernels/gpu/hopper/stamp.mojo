"""Clock readings inside a kernel, compiled in by `-D MOE_STAMPS` alone."""

from std.sys import is_defined
from std.sys._assembly import inlined_assembly
from max.gpu import block_idx

from hopper.memory import F32P


@inline(.always)
def stamp[i: Int](to: F32P, thread: Int):
    """Stores the nanosecond clock as number `i` of the block's sixteen, by one thread."""
    comptime if is_defined["MOE_STAMPS"]():
        if thread == 0 and Int(to) != 0:
            var t = inlined_assembly["mov.u64 $0, %globaltimer;", UInt64, constraints="=l", has_side_effect=True]()
            to.unsafe_bitcast[UInt64]()[unsafe_offset=Int(block_idx.x) * 16 + i] = t
