"""The story of a token, from x to out: routed, dispatched to its experts, computed by them, combined."""

from .balance import Balance
from .combine import Combine
from .dispatch import dispatch, dispatch_shared
from .format import bytes_of
from .layer import Layer
from .memory import at
from .routing import Route
from .schedule import Blocks, Gather, HiddenPanels, OutputPanels, split_by_panels
from .workspace import Workspace


def forward[
    dtype: DType
](layer: Layer, x: Int, output: Int, tokens: Int, expert_ids: Int, expert_weights: Int, balance_loss: Int) raises:
    """`output` [tokens, d_model] is the layer's output for `x` [tokens, d_model], both row-major `dtype`.

    Every row is computed in the same order of operations whatever the other rows, the number of threads and the
    schedule: results are equal to the last bit from run to run.

    Parameters:
        dtype: Of x, output and the packed experts.

    Args:
        layer: A prepared layer of that dtype.
        x: Address of the input.
        output: Address of the output; overlaps nothing.
        tokens: Rows of both; may be 0.
        expert_ids: Address of int32 [tokens, top_k] for the chosen experts, best first, or 0.
        expert_weights: Address of float32 [tokens, top_k] for their weights, or 0.
        balance_loss: Address of a float32 for the load-balancing loss, or 0.

    Raises:
        When the workspace does not fit into memory.
    """
    var balance = Balance(layer.experts if balance_loss != 0 else 0)
    var done = 0
    while done < tokens:
        var count = min(tokens - done, Workspace.most_tokens[dtype](layer))
        var work = Workspace.reserve[dtype](layer, count, balance_loss != 0)
        var offset = done * layer.d_model * bytes_of[dtype]()
        work.x = x + offset
        work.output = output + offset
        if expert_ids != 0:
            work.ids = expert_ids + 4 * done * layer.top_k
        if expert_weights != 0:
            work.weights = expert_weights + 4 * done * layer.top_k

        Route[dtype](layer, work).start()
        dispatch[dtype](layer, work)
        balance.add[dtype](work)
        _run_experts[dtype](layer, work)
        if layer.shared_d_ff > 0:
            _run_experts[dtype](layer.shared_expert(), dispatch_shared[dtype](layer, work))
        Combine[dtype](layer, work).start()
        work.give_back()
        done += count
    if balance_loss != 0:
        at[Float32](balance_loss)[] = balance.loss(tokens)


def _run_experts[dtype: DType](layer: Layer, work: Workspace):
    """The results of every row are in the workspace."""
    var pool = layer.pool
    if split_by_panels(layer, work):
        # Few rows: all threads share every expert's panels, because there are too few blocks to go round.
        Gather[dtype](layer, work).start()
        HiddenPanels[dtype](layer, work).start()
        OutputPanels[dtype](layer, work).start()
    else:
        # Many rows: a thread takes a block of one expert's rows through both matmuls, hidden units in its L2.
        pool.run(Blocks[dtype](layer, work), work.block_count)
