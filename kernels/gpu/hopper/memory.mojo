"""Pointer types of the kernel."""

comptime U32P = Pointer[UInt32, MutUntrackedOrigin]
comptime I32P = Pointer[Int32, MutUntrackedOrigin]
comptime F32P = Pointer[Float32, MutUntrackedOrigin]
comptime Shared[dtype: DType] = Pointer[Scalar[dtype], MutUntrackedOrigin, address_space=AddressSpace.SHARED]
"""Shared memory of a block, as elements of a type."""
comptime Global[dtype: DType] = Pointer[Scalar[dtype], MutUntrackedOrigin]
"""Device memory, as elements of a type."""
