"""Calls captured in CUDA graphs: one graph for each pair of input and output, replayed instead of the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


class Graphs:
    """The graphs of one prepared layer, all in one pool of memory; what a call returned is filled by every replay."""

    def __init__(self) -> None:
        """Holds none yet."""
        self._captured: dict[tuple[int, int, int], tuple[torch.cuda.CUDAGraph, Any]] = {}
        self._pool: Any = None

    def capture(
        self, call: Callable[[torch.Tensor, torch.Tensor], Any], x: torch.Tensor, out: torch.Tensor
    ) -> Callable[[], Any]:
        """Returns the replay of `call(x, out)`; `x` and `out` are overwritten when it had to be captured, else left.

        What the kernel sees while it is captured are random tokens, not those of any call. It is called once before,
        so that it may compile and allocate, and replayed once after, so that the graph is on the device.
        """
        import torch  # noqa: PLC0415 -- a worker of the CPU never comes here

        key = (x.data_ptr(), out.data_ptr(), x.shape[0])
        if key not in self._captured:
            x.normal_()
            call(x, out)
            torch.cuda.synchronize()
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                result = call(x, out)
            graph.replay()
            torch.cuda.synchronize()
            self._captured[key] = graph, result
        graph, result = self._captured[key]

        def replay() -> Any:  # noqa: ANN401 -- whatever the kernel returns
            graph.replay()
            return result

        return replay
