"""Two ways to run a candidate: in a worker process, as everybody's kernel is, or in this one, as tests do."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch

from validation.correctness.question import LAYERS_KEPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.correctness.attempt import Run
    from validation.implementations.process import Worker
    from validation.workloads.layer import Layer

Result = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def in_worker(worker: Worker) -> Run:
    """Returns a run of the kernel that `worker` has loaded; a layer is prepared when it is of none of those before.

    LAYERS_KEPT stay prepared, as in a model of many layers: a kernel that keeps one of them for all, or two, is told
    from others.
    """
    held: deque[Layer] = deque(maxlen=LAYERS_KEPT)  # the layer of the last call last

    def run(layer: Layer, x: torch.Tensor) -> Result:
        if any(one is layer for one in held):
            while held[-1] is not layer:
                worker.back()
                held.append(held.popleft())
        else:
            # Whatever becomes of it, none of them is prepared any more if the worker has to be started again.
            before = list(held)[-LAYERS_KEPT + 1 :]
            held.clear()
            worker.prepare(layer, keep=len(before))
            held.extend([*before, layer])
        output = worker.call(x)
        return output.out, output.ids, output.weights

    return run


def in_process(prepare: Callable[[Layer], Callable[..., object]], *, fills: bool = True) -> Run:
    """Returns a run of a trusted `prepare` in this process; each layer is prepared once and stays so for the next call.

    `fills` says whether `forward` takes (x, out); out is poisoned with NaN first.
    """
    prepared: list[tuple[Layer, Callable[..., object]]] = []

    def run(layer: Layer, x: torch.Tensor) -> Result:
        found = [forward for known, forward in prepared if known is layer]
        if not found:
            del prepared[: -LAYERS_KEPT + 1]
            prepared.append((layer, prepare(layer)))
            found = [prepared[-1][1]]
        out = torch.full(tuple(x.shape), float("nan"), dtype=x.dtype)
        before = x.clone()
        result = found[0](x, out) if fills else found[0](x)
        if not torch.equal(before.nan_to_num(), x.nan_to_num()):
            raise RuntimeError("forward must not change its input x; it did")
        return _result(result, out)

    return run


def _result(result: object, out: torch.Tensor) -> Result:
    ids = weights = None
    if isinstance(result, tuple):
        result, ids, weights = result
    output = out if result is None else result
    assert isinstance(output, torch.Tensor)
    return output, ids, weights
