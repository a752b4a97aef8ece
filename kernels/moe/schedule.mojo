"""Who computes which part of the experts: threads share out blocks of rows, or panels of weights."""

from .experts import gather_rows, hidden_units, outputs
from .format import operand
from .layer import Layer
from .memory import at
from .pool import Task
from .workspace import BLOCK_ROWS, Workspace

# Panels of one ticket when panels are shared out: one group of a one-row tile.
comptime PANELS_PER_TICKET = 4


def split_by_panels(layer: Layer, work: Workspace) -> Bool:
    """Whether threads share out panels rather than blocks: when the hidden units of all slots may stand in L2."""
    return work.whole


@fieldwise_init
struct Blocks[dtype: DType](Task):
    """The results of every row are in the workspace; each block went through both matmuls in one thread."""

    var layer: Layer
    var work: Workspace

    def run(self, thread: Int):
        """Block after block, until none is left."""
        comptime Operand = Scalar[operand[Self.dtype]()]
        var inputs = at[Operand](self.work.rows).unsafe_offset(thread * BLOCK_ROWS * self.work.ld_rows)
        var hidden = at[Operand](self.work.hidden).unsafe_offset(thread * BLOCK_ROWS * self.work.ld_hidden)
        var sums = at[Float32](self.work.sums + thread * self.work.sums_per_thread)
        while True:
            var index = self.layer.pool.ticket()
            if index >= self.work.block_count:
                return
            var block = at[Int32](self.work.blocks).unsafe_offset(3 * index)
            var first = Int(block[unsafe_offset=0])
            var rows = Int(block[unsafe_offset=1])
            var expert = Int(block[unsafe_offset=2])
            gather_rows[Self.dtype](self.layer, self.work, first, rows, Int(inputs))
            hidden_units[Self.dtype](
                self.layer, self.work, expert, rows, inputs, 0, self.layer.first_panels(), hidden, sums
            )
            outputs[Self.dtype](
                self.layer,
                self.work,
                expert,
                rows,
                hidden,
                0,
                self.layer.second_panels(),
                at[Float32](self.work.results).unsafe_offset(first * self.work.ld_results),
            )


@fieldwise_init
struct HiddenPanels[dtype: DType](Task):
    """The hidden units of every row are in the workspace; threads shared out the panels of all blocks."""

    var layer: Layer
    var work: Workspace

    def run(self, thread: Int):
        """A few panels of a block after the other, until none is left."""
        comptime Operand = Scalar[operand[Self.dtype]()]
        var sums = at[Float32](self.work.sums + thread * self.work.sums_per_thread)
        var panels = self.layer.first_panels()
        var tickets = (panels + PANELS_PER_TICKET - 1) // PANELS_PER_TICKET
        while True:
            var ticket = self.layer.pool.ticket()
            if ticket >= tickets * self.work.block_count:
                return
            var block = at[Int32](self.work.blocks).unsafe_offset(3 * (ticket // tickets))
            var first = Int(block[unsafe_offset=0])
            var panel = ticket % tickets * PANELS_PER_TICKET
            hidden_units[Self.dtype](
                self.layer,
                self.work,
                Int(block[unsafe_offset=2]),
                Int(block[unsafe_offset=1]),
                at[Operand](self.work.rows).unsafe_offset(first * self.work.ld_rows),
                panel,
                min(panel + PANELS_PER_TICKET, panels),
                at[Operand](self.work.hidden).unsafe_offset(first * self.work.ld_hidden),
                sums,
            )


@fieldwise_init
struct OutputPanels[dtype: DType](Task):
    """The results of every row are in the workspace; threads shared out the panels of all blocks."""

    var layer: Layer
    var work: Workspace

    def run(self, thread: Int):
        """A few panels of a block after the other, until none is left."""
        comptime Operand = Scalar[operand[Self.dtype]()]
        var panels = self.layer.second_panels()
        var tickets = (panels + PANELS_PER_TICKET - 1) // PANELS_PER_TICKET
        while True:
            var ticket = self.layer.pool.ticket()
            if ticket >= tickets * self.work.block_count:
                return
            var block = at[Int32](self.work.blocks).unsafe_offset(3 * (ticket // tickets))
            var first = Int(block[unsafe_offset=0])
            var panel = ticket % tickets * PANELS_PER_TICKET
            outputs[Self.dtype](
                self.layer,
                self.work,
                Int(block[unsafe_offset=2]),
                Int(block[unsafe_offset=1]),
                at[Operand](self.work.hidden).unsafe_offset(first * self.work.ld_hidden),
                panel,
                min(panel + PANELS_PER_TICKET, panels),
                at[Float32](self.work.results).unsafe_offset(first * self.work.ld_results),
            )
