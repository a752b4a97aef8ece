"""Who computes which part of the experts: threads share out blocks of rows, or panels of weights."""

from .amx import close_tiles, open_tiles
from .experts import gather_rows, hidden_units, outputs
from .format import bytes_of, operand, steps
from .layer import Layer
from .memory import Address, Floats, at
from .panels import Panels
from .pool import Task
from .workspace import Workspace, block_rows, slice_units

# Panels of one ticket when panels are shared out: one group of a one-row tile.
comptime PANELS_PER_TICKET = 4
# Rows that one ticket gathers: 32 KiB of bfloat16 at 1024 values a row, 3 us at 10 GB/s, against 0.02 us for the ticket.
comptime ROWS_PER_TICKET = 16
# Fewer values are gathered before a second thread has woken up: as few as combine.mojo has, not measured apart.
comptime ALONE = 1 << 15


def split_by_panels(layer: Layer, work: Workspace) -> Bool:
    """Whether threads share out panels, not blocks: slots are few, and their hidden units may stand in L2."""
    return work.whole


@fieldwise_init
struct Blocks[dtype: DType](Task):
    """The results of every row are in the workspace; each block went through both matmuls in one thread."""

    var layer: Layer
    var work: Workspace

    def run(self, thread: Int):
        """Block after block, until none is left."""
        comptime Operand = Scalar[operand[Self.dtype]()]
        open_tiles[Self.dtype](self.layer.tiles)
        var inputs = at[Operand](self.work.rows).unsafe_offset(thread * block_rows[Self.dtype]() * self.work.ld_rows)
        var hidden = at[Operand](self.work.hidden).unsafe_offset(
            thread * block_rows[Self.dtype]() * self.work.ld_hidden
        )
        var sums = at[Float32](self.work.sums + thread * self.work.sums_per_thread)
        while True:
            var index = self.layer.pool.ticket()
            if index >= self.work.block_count:
                break
            var block = at[Int32](self.work.blocks).unsafe_offset(3 * index)
            var first = Int(block[unsafe_offset=0])
            var rows = Int(block[unsafe_offset=1])
            var expert = Int(block[unsafe_offset=2])
            gather_rows[Self.dtype](self.layer, self.work, first, rows, Int(inputs))
            self._both_matmuls(expert, self._next_expert(index), rows, inputs, hidden, sums, first)
        close_tiles[Self.dtype](self.layer.tiles)

    def _next_expert(self, index: Int) -> Int:
        """Whose weights this thread will probably read after block `index`: threads take blocks in turn."""
        var next = min(index + self.layer.pool.threads(), self.work.block_count - 1)
        return Int(at[Int32](self.work.blocks)[unsafe_offset=3 * next + 2])

    def _both_matmuls(
        self,
        expert: Int,
        next_expert: Int,
        rows: Int,
        inputs: Address[Scalar[operand[Self.dtype]()]],
        hidden: Address[Scalar[operand[Self.dtype]()]],
        sums: Floats,
        first: Int,
    ):
        """The results of rows `first` to `first + rows`: a slice of hidden units after the other, so that they stay in
        L2 however many there are."""
        var results = at[Float32](self.work.results).unsafe_offset(first * self.work.ld_results)
        var matrix = Panels.first[Self.dtype](self.layer, expert)
        var second = Panels.second[Self.dtype](self.layer, expert)
        var panels = self.layer.first_panels()
        var units = self.layer.units_per_panel()
        var slice = slice_units[Self.dtype]() // units
        for panel in range(0, panels, slice):
            var end = min(panel + slice, panels)
            var unit = panel * units
            hidden_units[Self.dtype](
                self.layer,
                self.work,
                expert,
                rows,
                inputs,
                panel,
                end,
                hidden,
                sums,
                second.at(0, steps[Self.dtype](unit)),
            )
            var after = matrix.at(end, 0)
            if end == panels:
                after = Panels.first[Self.dtype](self.layer, next_expert).at(0, 0)
            outputs[Self.dtype](
                self.layer,
                self.work,
                expert,
                rows,
                hidden,
                unit,
                min(end * units, self.layer.d_ff),
                0,
                self.layer.second_panels(),
                results,
                sums,
                after,
            )


@fieldwise_init
struct Gather[dtype: DType](Task):
    """All slots' rows of inputs are in the workspace."""

    var layer: Layer
    var work: Workspace

    def start(self):
        """Run on the whole pool, or alone when that is quicker."""
        if self.work.slots * self.layer.d_model <= ALONE:
            gather_rows[Self.dtype](self.layer, self.work, 0, self.work.slots, self.work.rows)
        else:
            self.layer.pool.run(self, (self.work.slots + ROWS_PER_TICKET - 1) // ROWS_PER_TICKET)

    def run(self, thread: Int):
        """A few rows after the other, until none is left."""
        var row_bytes = self.work.ld_rows * bytes_of[operand[Self.dtype]()]()
        while True:
            var first = self.layer.pool.ticket() * ROWS_PER_TICKET
            if first >= self.work.slots:
                return
            var count = min(ROWS_PER_TICKET, self.work.slots - first)
            gather_rows[Self.dtype](self.layer, self.work, first, count, self.work.rows + first * row_bytes)


def _tickets(panels: Int) -> Int:
    """Tickets that share out the panels of one block."""
    return (panels + PANELS_PER_TICKET - 1) // PANELS_PER_TICKET


@fieldwise_init
struct HiddenPanels[dtype: DType](Task):
    """The hidden units of every row are in the workspace; threads shared out the panels of all blocks."""

    var layer: Layer
    var work: Workspace

    def start(self):
        """Run on the whole pool."""
        self.layer.pool.run(self, _tickets(self.layer.first_panels()) * self.work.block_count)

    def run(self, thread: Int):
        """A few panels of a block after the other, until none is left."""
        comptime Operand = Scalar[operand[Self.dtype]()]
        open_tiles[Self.dtype](self.layer.tiles)
        var sums = at[Float32](self.work.sums + thread * self.work.sums_per_thread)
        var panels = self.layer.first_panels()
        var tickets = _tickets(panels)
        while True:
            var ticket = self.layer.pool.ticket()
            if ticket >= tickets * self.work.block_count:
                break
            var block = at[Int32](self.work.blocks).unsafe_offset(3 * (ticket // tickets))
            var first = Int(block[unsafe_offset=0])
            var panel = ticket % tickets * PANELS_PER_TICKET
            var units = panel * self.layer.units_per_panel()
            hidden_units[Self.dtype](
                self.layer,
                self.work,
                Int(block[unsafe_offset=2]),
                Int(block[unsafe_offset=1]),
                at[Operand](self.work.rows).unsafe_offset(first * self.work.ld_rows),
                panel,
                min(panel + PANELS_PER_TICKET, panels),
                at[Operand](self.work.hidden).unsafe_offset(first * self.work.ld_hidden + units),
                sums,
                Panels.first[Self.dtype](self.layer, Int(block[unsafe_offset=2])).at(panel + PANELS_PER_TICKET, 0),
            )
        close_tiles[Self.dtype](self.layer.tiles)


@fieldwise_init
struct OutputPanels[dtype: DType](Task):
    """The results of every row are in the workspace; threads shared out the panels of all blocks."""

    var layer: Layer
    var work: Workspace

    def start(self):
        """Run on the whole pool."""
        self.layer.pool.run(self, _tickets(self.layer.second_panels()) * self.work.block_count)

    def run(self, thread: Int):
        """A few panels of a block after the other, until none is left."""
        comptime Operand = Scalar[operand[Self.dtype]()]
        open_tiles[Self.dtype](self.layer.tiles)
        var sums = at[Float32](self.work.sums + thread * self.work.sums_per_thread)
        var panels = self.layer.second_panels()
        var tickets = _tickets(panels)
        while True:
            var ticket = self.layer.pool.ticket()
            if ticket >= tickets * self.work.block_count:
                break
            var block = at[Int32](self.work.blocks).unsafe_offset(3 * (ticket // tickets))
            var first = Int(block[unsafe_offset=0])
            var panel = ticket % tickets * PANELS_PER_TICKET
            outputs[Self.dtype](
                self.layer,
                self.work,
                Int(block[unsafe_offset=2]),
                Int(block[unsafe_offset=1]),
                at[Operand](self.work.hidden).unsafe_offset(first * self.work.ld_hidden),
                0,
                self.layer.d_ff,
                panel,
                min(panel + PANELS_PER_TICKET, panels),
                at[Float32](self.work.results).unsafe_offset(first * self.work.ld_results),
                sums,
                Panels.second[Self.dtype](self.layer, Int(block[unsafe_offset=2])).at(panel + PANELS_PER_TICKET, 0),
            )
        close_tiles[Self.dtype](self.layer.tiles)
