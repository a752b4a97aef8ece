"""A fork-join pool: the caller and its workers run one task together, and idle workers sleep.

The runtime's own task group takes 15 to 200 us for a region of two tasks; a layer of one token takes about 20 us and
needs three regions. Here a region costs about 0.3 us while the workers still spin from the last one.
"""

from std.atomic import Atomic
from std.ffi import external_call
from std.sys import CompilationTarget, llvm_intrinsic

from .memory import Address, Bytes, CACHE_LINE, allocate, at

comptime Entry = def(Int, Int) thin -> None
comptime Counter = Address[Atomic[Int64]]

comptime SYS_FUTEX = 202 if CompilationTarget.is_x86() else 98
comptime FUTEX_WAIT_PRIVATE = 128
comptime FUTEX_WAKE_PRIVATE = 129
# A worker looks for work about 50 us (a pause is 10 to 15 ns) before it sleeps: regions of one layer follow each other
# within that time, and a core that has nothing to do is idle again before the next scheduler tick (1 ms).
comptime SPINS_BEFORE_SLEEP = 4000
# The caller yields its core only when a worker lags: on a machine with fewer free cores than workers the lagging
# worker may need this very core.
comptime SPINS_BEFORE_YIELD = 20000

# Word offsets of the shared state. Words that different threads write lie two cache lines apart.
comptime GENERATION = 0
comptime FINISHED = 16
comptime SLEEPERS = 32
comptime TICKET = 48
comptime ENTRY = 64
comptime TASK = 65
comptime THREADS = 66
comptime OWNER = 67
comptime MUTEX = 72  # pthread_mutex_t: 40 bytes
comptime WORKSPACE = 80  # address and bytes of the workspace that the regions share
comptime WORKERS = 96  # per worker: pool, index, pthread_t


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
    """The life of one worker: wait for a new generation, run its task, say so."""
    var pool = Pool(arguments[unsafe_offset=0])
    var thread = arguments[unsafe_offset=1]
    var seen = Int64(0)
    while True:
        var spins = 0
        var generation = pool._counter(GENERATION)[].load()
        while generation == seen:
            if spins < SPINS_BEFORE_SLEEP:
                spins += 1
                _pause()
            else:
                # The kernel compares the low 32 bits with `seen` atomically, so a wake-up cannot be lost.
                _ = pool._counter(SLEEPERS)[].fetch_add(1)
                pool._futex(FUTEX_WAIT_PRIVATE, Int(seen & 0xFFFFFFFF))
                _ = pool._counter(SLEEPERS)[].fetch_sub(1)
            generation = pool._counter(GENERATION)[].load()
        seen = generation
        at[Entry](pool.address + 8 * ENTRY)[](pool._word(TASK)[], thread)
        _ = pool._counter(FINISHED)[].fetch_add(1)


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
    def run[T: Task](self, task: T):
        """Every thread has run its share of `task`; what they wrote is visible to the caller."""
        self._counter(TICKET)[].store(0)
        var workers = self.threads() - 1
        if workers > 0:
            var entry: Entry = _enter[T]
            at[Entry](self.address + 8 * ENTRY)[] = entry
            self._word(TASK)[] = Int(Pointer(to=task))
            self._counter(FINISHED)[].store(0)
            _ = self._counter(GENERATION)[].fetch_add(1)
            if self._counter(SLEEPERS)[].load() > 0:
                self._futex(FUTEX_WAKE_PRIVATE, workers)
        task.run(0)
        var spins = 0
        while self._counter(FINISHED)[].load() != Int64(workers):
            spins += 1
            if spins < SPINS_BEFORE_YIELD:
                _pause()
            else:
                _ = external_call["sched_yield", Int32]()

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

    def _futex(self, operation: Int, value: Int):
        _ = external_call["syscall", Int, num_fixed_args=1](
            SYS_FUTEX, self.address + 8 * GENERATION, operation, value, Int(0), Int(0), Int(0)
        )


def process_id() -> Int:
    """The number of this process."""
    return Int(external_call["getpid", Int32]())
