"""What a timed process did is kept, of processes as they are."""

import pytest

from validation.correctness.planted_cheats import FOLDER
from validation.implementations.failure import ImplementationFailed
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.process import Worker
from validation.performance.conduct import changes, reports
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.shape import parse_shape

WORKLOAD = parse_shape("16x32x64-E4-k2-float32")


def conduct(name: str) -> tuple[str, ...]:
    """What is kept of a process in which the planted kernel is called a few times, as a timed one is."""
    implementation = parse_kernel(str(FOLDER / f"{name}.py"))
    bank = TokenBank.draw(WORKLOAD)
    changed: tuple[str, ...] = ()
    with Worker(threads=2, environment=implementation.environment) as worker:
        try:
            worker.start()
            before = worker.state()
            worker.load(implementation)
            worker.prepare(make_layer(WORKLOAD.layer))
            worker.call_block([bank.gather(bank.rows("a", call=call)) for call in range(3)])
            changed = changes(worker, before)
        except ImplementationFailed:
            pass
    return (*changed, *reports(worker))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("changes_threads", "torch threads"),
        ("flushes_denormals", "denormals"),
        ("takes_out_the_hook", "audit hook"),
        ("clock_of_the_module", "patched clocks"),
        ("opens_unheard", "open"),
        ("calls_reference", "open"),
        ("kills", "kill"),
    ],
)
def test_what_a_timed_process_does_or_changes_is_kept(name: str, kept: str) -> None:
    assert any(kept in one for one in conduct(name)), conduct(name)


def test_of_an_honest_one_nothing_is() -> None:
    assert conduct("honest_layer") == ()
