"""Raw memory: typed addresses, and big blocks on huge pages."""

from std.ffi import external_call

from .ablation import ALLOCATION, FRESH_PAGES

comptime Address[T: AnyType] = Pointer[T, MutUntrackedOrigin]
comptime Floats = Address[Float32]
comptime Ints = Address[Int32]
comptime Bytes = Address[UInt8]

comptime CACHE_LINE = 64
comptime HUGE_PAGE = 1 << 21
comptime MADV_HUGEPAGE = 14


@always_inline
def at[T: AnyType](address: Int) -> Address[T]:
    """The address as a typed pointer."""
    return Address[T](unsafe_from_address=address)


@always_inline
def round_up(n: Int, multiple: Int) -> Int:
    """The least multiple of `multiple` that is at least `n`."""
    return (n + multiple - 1) // multiple * multiple


def allocate(bytes: Int) raises -> Int:
    """The address of `bytes` bytes, aligned to a cache line, or to a huge page when it fills one.

    Huge pages matter because a packed panel is read end to end: with 4 KiB pages a 4 MB expert needs 1024
    translations, and a core's second-level table holds about 2000.

    Raises:
        When the system has no memory left; the message says how much was asked for.
    """
    var alignment = HUGE_PAGE if bytes >= HUGE_PAGE else CACHE_LINE
    var size = round_up(max(bytes, 1), alignment)
    var address = external_call["aligned_alloc", Int](alignment, size)
    if address == 0:
        raise Error("MemoryError: the kernel needs ", size, " bytes of memory, and the system refused them")
    if alignment == HUGE_PAGE:
        _ = external_call["madvise", Int32](address, size, Int32(MADV_HUGEPAGE))
    return address


def release(address: Int):
    """The memory of `allocate` is the system's again. Zero is allowed and does nothing."""
    external_call["free", NoneType](address)


# mmap's PROT_READ | PROT_WRITE and MAP_PRIVATE | MAP_ANONYMOUS.
comptime READ_AND_WRITE = 3
comptime PRIVATE_ANONYMOUS = 0x22


def allocate_for_one_call(bytes: Int) raises -> Int:
    """The address of `bytes` bytes from the allocator, or by ALLOCATION from the system, every page a fault away.

    Raises:
        When the system has no memory left.
    """
    comptime if ALLOCATION == FRESH_PAGES:
        var address = external_call["mmap", Int](
            Int(0), bytes, Int32(READ_AND_WRITE), Int32(PRIVATE_ANONYMOUS), Int32(-1), Int(0)
        )
        if address == -1:
            raise Error("MemoryError: the kernel needs ", bytes, " bytes of memory, and the system refused them")
        return address
    else:
        return allocate(bytes)


def release_after_call(address: Int, bytes: Int):
    """What `allocate_for_one_call` gave is given back."""
    comptime if ALLOCATION == FRESH_PAGES:
        _ = external_call["munmap", Int32](address, bytes)
    else:
        release(address)
