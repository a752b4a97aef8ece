"""A token's output: its experts' outputs, weighted and summed from the best expert to the last, then the shared one's.
"""

from .format import LANES, Vec
from .layer import Layer
from .memory import at
from .pool import Task
from .workspace import Workspace

# Tokens of one ticket: some 10 us of work, against 0.02 us for the ticket.
comptime TOKENS_PER_TICKET = 16
# Fewer multiply-adds than this are done before a second thread has woken up.
comptime ALONE = 1 << 15


@fieldwise_init
struct Combine[dtype: DType](Task):
    """`out` holds every token's output. No atomics: the order of the sum is fixed by rank, so results repeat exactly.
    """

    var layer: Layer
    var work: Workspace

    def start(self):
        """Run on the whole pool, or alone when that is quicker."""
        if self.work.slots * self.layer.d_model <= ALONE:
            self.layer.pool.run_alone(self)
        else:
            self.layer.pool.run(self, (self.work.tokens + TOKENS_PER_TICKET - 1) // TOKENS_PER_TICKET)

    def run(self, thread: Int):
        """A few tokens after the other, until none is left."""
        while True:
            var first = self.layer.pool.ticket() * TOKENS_PER_TICKET
            if first >= self.work.tokens:
                return
            for token in range(first, min(first + TOKENS_PER_TICKET, self.work.tokens)):
                self._token(token)

    def _token(self, token: Int):
        var d = self.layer.d_model
        var target = at[Scalar[Self.dtype]](self.work.output).unsafe_offset(token * d)
        for j in range(0, d, LANES):
            # Rows of results are filled up to whole panels, so the last load is inside; only the store is not.
            var sum = Vec(0)
            for rank in range(self.layer.top_k):
                var slot = token * self.layer.top_k + rank
                var row = Int(at[Int32](self.work.row_of_slot)[unsafe_offset=slot])
                var result = at[Float32](self.work.results).unsafe_load[width=LANES](row * self.work.ld_results + j)
                sum = Vec(at[Float32](self.work.weights)[unsafe_offset=slot]).fma(result, sum)
            if self.layer.shared_d_ff > 0:
                var row = self.work.slots + token
                sum += at[Float32](self.work.results).unsafe_load[width=LANES](row * self.work.ld_results + j)
            if j + LANES <= d:
                target.unsafe_store(j, sum.cast[Self.dtype]())
            else:
                for lane in range(d - j):
                    target[unsafe_offset=j + lane] = sum[lane].cast[Self.dtype]()
