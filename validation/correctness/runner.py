"""Two ways to run a candidate: in a worker process, as everybody's kernel is, or in this one, as tests do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.correctness.attempt import Run
    from validation.implementations.process import Worker
    from validation.workloads.layer import Layer

Result = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def in_worker(worker: Worker) -> Run:
    """Returns a run of the kernel that `worker` has loaded; a layer is prepared when it is of neither layer before.

    Two stay prepared, as in a model of many layers: a kernel that keeps one of them for all is told from others.
    """
    held: list[Layer] = []

    def run(layer: Layer, x: torch.Tensor) -> Result:
        if len(held) > 1 and held[1] is layer:
            worker.back()
            held.reverse()
        elif not held or held[0] is not layer:
            before = held[:1]
            held.clear()
            worker.prepare(layer, keep=bool(before))
            held[:] = [layer, *before]
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
            # Two layers at most are alive in any case of the suite, and they must not disturb each other.
            del prepared[:-1]
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
