"""A fork-join pool: the caller and its workers run one task together, and idle workers sleep.

The runtime's own task group takes 15 to 200 us for a region of two tasks; a layer of one token takes about 20 us and
needs three regions. Here a region costs about 0.3 us while the workers still spin from the last one.

A region never waits for a worker that is still waking up, or that has no core: work is shared out by tickets, so the
caller finishes it alone, closes the region, and waits only for the workers that had entered it. With more threads than
a small call can use, or than there are cores, the others then cost next to nothing.
"""

from std.atomic import Atomic
from std.bit import pop_count
from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, llvm_intrinsic
from std.time import perf_counter_ns

from .memory import Address, Bytes, CACHE_LINE, allocate, at

comptime Entry = def(Int, Int) thin -> None
comptime Counter = Address[Atomic[Int64]]

comptime SYS_FUTEX = 202 if CompilationTarget.is_x86() else 98
comptime SYS_SCHED_GETAFFINITY = 204 if CompilationTarget.is_x86() else 123
comptime FUTEX_WAIT_PRIVATE = 128
comptime FUTEX_WAKE_PRIVATE = 129
# A thread looks for work, or for the end of a region, so long before it sleeps: regions of one layer follow each other
# within that time, and a core that has nothing to do is idle again before the next scheduler tick (1 ms). By the clock,
# because a pause takes 10 ns on one processor and 65 on another.
comptime SPIN_NS = 50_000
# Pauses between two looks at the clock, which takes 25 ns.
comptime SPINS_PER_LOOK = 16

# Word offsets of the shared state. Words that different threads write lie two cache lines apart.
comptime STATE = 0  # generation of regions << 32 | OPEN | threads inside
comptime WAITING = 16  # whether the caller sleeps until the last thread leaves
comptime SLEEPERS = 32
comptime TICKET = 48
comptime ENTRY = 64
comptime TASK = 65
comptime THREADS = 66
comptime OWNER = 67
comptime SPIN = 68  # SPIN_NS; 0 when there are more threads than cores
comptime MUTEX = 72  # pthread_mutex_t: 40 bytes
comptime WORKSPACE = 80  # address and bytes of the workspace that the regions share
comptime WORKERS = 96  # per worker: pool, index, pthread_t

comptime GENERATION = Int64(1) << 32
comptime OPEN = Int64(1) << 31
comptime INSIDE = OPEN - 1


trait Task(Movable):
    """Something every thread of a pool runs a share of."""

    def run(self, thread: Int):
        """This thread's share of the work is done."""
        ...


@always_inline
def _pause():
    comptime if CompilationTarget.is_x86():
        llvm_intrinsic["llvm.x86.sse2.pause", NoneType]()


def _worker(arguments: Address[Int]) abi("C") -> Int:
    """The life of one worker: wait for a new region, run its task if it is still open, leave it."""
    var pool = Pool(arguments[unsafe_offset=0])
    var thread = arguments[unsafe_offset=1]
    var seen = Int64(0)
    while True:
        pool._await_region(seen)
        # In before looking: a region that is open now stays so until this thread has left it.
        var state = pool._counter(STATE)[].fetch_add(1)
        seen = state >> 32
        if state & OPEN != 0:
            at[Entry](pool.address + 8 * ENTRY)[](pool._word(TASK)[], thread)
        pool._leave()


def _enter[T: Task](task: Int, thread: Int):
    at[T](task)[].run(thread)


@fieldwise_init
struct Pool(Copyable, ImplicitlyCopyable, Movable):
    """A handle to the pool: the address of its shared state. Copies are the same pool."""

    var address: Int

    @staticmethod
    def start(threads: Int) raises -> Pool:
        """A pool of `threads` threads, the caller among them; it lives as long as the process.

        Workers inherit the caller's affinity.

        Raises:
            When the system refuses memory or a thread.
        """
        var words = WORKERS + 16 * threads
        var pool = Pool(allocate(8 * words))
        for i in range(words):
            pool._word(i)[] = 0
        pool._word(THREADS)[] = threads
        pool._word(OWNER)[] = process_id()
        pool._word(SPIN)[] = SPIN_NS if threads <= usable_cores() else 0
        _ = external_call["pthread_mutex_init", Int32](pool.address + 8 * MUTEX, Int(0))
        for i in range(1, threads):
            var arguments = pool._word(WORKERS + 16 * i)
            arguments[unsafe_offset=0] = pool.address
            arguments[unsafe_offset=1] = i
            var failed = external_call["pthread_create", Int32](Int(arguments) + 16, Int(0), _worker, arguments)
            if failed != 0:
                raise Error(
                    "RuntimeError: the kernel needs ",
                    threads,
                    " threads; the system refused number ",
                    i + 1,
                    " (error ",
                    failed,
                    "); ask for fewer",
                )
        return pool

    def threads(self) -> Int:
        """How many threads run a task, the caller among them."""
        return self._word(THREADS)[]

    def here(self) -> Bool:
        """Whether this process started the pool; after a fork the child has none of its workers."""
        return self._word(OWNER)[] == process_id()

    def lock(self):
        """The pool and its workspace are the caller's until `unlock`."""
        _ = external_call["pthread_mutex_lock", Int32](self.address + 8 * MUTEX)

    def unlock(self):
        """The next caller may have the pool."""
        _ = external_call["pthread_mutex_unlock", Int32](self.address + 8 * MUTEX)

    @always_inline
    def run[T: Task](self, task: T, pieces: Int):
        """`task` is done, and what its threads wrote is visible to the caller.

        Args:
            task: Shares its work out by `ticket`; whoever runs it goes on until there is none left.
            pieces: How many tickets have work. No more sleeping threads than that are woken.
        """
        var workers = min(self.threads(), pieces) - 1
        if workers <= 0:
            self.run_alone(task)
            return
        self._counter(TICKET)[].store(0)
        var entry: Entry = _enter[T]
        at[Entry](self.address + 8 * ENTRY)[] = entry
        self._word(TASK)[] = Int(Pointer(to=task))
        _ = self._counter(STATE)[].fetch_add(GENERATION + OPEN)
        var asleep = Int(self._counter(SLEEPERS)[].load())
        var wanted = workers - (self.threads() - 1 - asleep)
        if wanted > 0:
            _futex(self.address + 8 * STATE + 4, FUTEX_WAKE_PRIVATE, wanted)
        task.run(0)
        _ = self._counter(STATE)[].fetch_sub(OPEN)
        self._await_leaving()

    @always_inline
    def run_alone[T: Task](self, task: T):
        """As `run`, with `task` sharing its work out by `ticket` and the caller taking all of it."""
        self._counter(TICKET)[].store(0)
        task.run(0)

    @always_inline
    def ticket(self) -> Int:
        """The next unclaimed piece of work of the current region: 0, 1, 2, ..."""
        return Int(self._counter(TICKET)[].fetch_add(1))

    def workspace(self, bytes: Int) raises -> Int:
        """The address of at least `bytes` bytes that the lock's holder may use; it only grows."""
        if self._word(WORKSPACE)[unsafe_offset=1] < bytes:
            var fresh = allocate(bytes)
            external_call["free", NoneType](self._word(WORKSPACE)[])
            self._word(WORKSPACE)[] = fresh
            self._word(WORKSPACE)[unsafe_offset=1] = bytes
        return self._word(WORKSPACE)[]

    @always_inline
    def _word(self, offset: Int) -> Address[Int]:
        return at[Int](self.address + 8 * offset)

    @always_inline
    def _counter(self, offset: Int) -> Counter:
        return at[Atomic[Int64]](self.address + 8 * offset)

    def _await_region(self, seen: Int64):
        """A region later than `seen` was opened, maybe closed again."""
        var deadline = 0
        while True:
            for _ in range(SPINS_PER_LOOK):
                if self._counter(STATE)[].load() >> 32 != seen:
                    return
                _pause()
            if self._tired(deadline):
                # The kernel compares the generation with `seen` atomically, so a wake-up cannot be lost.
                _ = self._counter(SLEEPERS)[].fetch_add(1)
                _futex(self.address + 8 * STATE + 4, FUTEX_WAIT_PRIVATE, Int(seen))
                _ = self._counter(SLEEPERS)[].fetch_sub(1)

    def _await_leaving(self):
        """No thread is inside the closed region."""
        var deadline = 0
        while True:
            for _ in range(SPINS_PER_LOOK):
                if self._counter(STATE)[].load() & INSIDE == 0:
                    return
                _pause()
            if self._tired(deadline):
                # The last thread out looks at WAITING after it left; this one looks at STATE after it said so.
                self._counter(WAITING)[].store(1)
                var state = self._counter(STATE)[].load()
                if state & INSIDE != 0:
                    _futex(self.address + 8 * STATE, FUTEX_WAIT_PRIVATE, Int(state & 0xFFFFFFFF))
                self._counter(WAITING)[].store(0)

    def _tired(self, mut deadline: Int) -> Bool:
        """Whether the time to spin is over; the first look at the clock starts it."""
        var now = Int(perf_counter_ns())
        if deadline == 0:
            deadline = now + self._word(SPIN)[]
        return now >= deadline

    @always_inline
    def _leave(self):
        """This thread is outside, and a caller who sleeps until all are is woken."""
        var state = self._counter(STATE)[].fetch_sub(1) - 1
        if state & (OPEN | INSIDE) == 0 and self._counter(WAITING)[].load() != 0:
            _futex(self.address + 8 * STATE, FUTEX_WAKE_PRIVATE, 1)


def _futex(address: Int, operation: Int, value: Int):
    _ = external_call["syscall", Int, num_fixed_args=1](SYS_FUTEX, address, operation, value, Int(0), Int(0), Int(0))


def usable_cores() -> Int:
    """How many cores the affinity of this thread allows."""
    var mask = Array[UInt64, 128](fill=0)  # 8192 cores, the most that Linux knows
    var bytes = external_call["syscall", Int, num_fixed_args=1](
        SYS_SCHED_GETAFFINITY, Int(0), Int(8 * 128), Pointer(to=mask)
    )
    var cores = 0
    for i in range(max(bytes, 0) // 8):
        cores += Int(pop_count(mask[i]))
    return max(cores, 1)


def process_id() -> Int:
    """The number of this process."""
    return Int(external_call["getpid", Int32]())
