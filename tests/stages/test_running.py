"""Cases are asked in a worker that is looked after: one that a kernel fills with threads is given up."""

from pathlib import Path

import pytest

from tests.implementations.kernels import kernel
from validation.stages.subject import _MORE_THREADS, Running, Subject
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import LayerConfig

LEAVES_A_THREAD = """
import threading, time

def prepare(layer):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return lambda x, out: out.zero_()
"""
LEAVES_NOTHING = """
def prepare(layer):
    return lambda x, out: out.zero_()
"""


@pytest.mark.parametrize(("source", "given_up"), [(LEAVES_A_THREAD, True), (LEAVES_NOTHING, False)])
def test_a_worker_full_of_threads_is_given_no_other_layer(source: str, *, given_up: bool, tmp_path: Path) -> None:
    config = LayerConfig(d_model=8, d_ff=8, n_experts=2, top_k=1)
    layers, x = [make_layer(config, seed) for seed in range(_MORE_THREADS + 4)], draw_tokens(config, 4)
    with Running(Subject(implementation=kernel(tmp_path, source, "mine"), threads=1), []) as running:
        workers = []
        for layer in layers:
            running(layer, x)
            assert running._worker is not None
            workers.append(running._worker.pid)
            # Other calls of the same layer are for the same worker.
            running(layer, x)
            assert running._worker.pid == workers[-1]
        assert running._threads() <= running._first_threads + _MORE_THREADS + 1
    assert len(set(workers)) == (2 if given_up else 1)
    assert running.deaths == 0
