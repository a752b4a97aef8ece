"""Prints the table once everything was timed."""

import pytest

from benchmarks.contests import Contest
from benchmarks.shapes import too_slow
from benchmarks.table import table
from validation.cpu import read_cpu
from validation.performance.ceiling import Ceiling
from validation.performance.ceilings import larger, measure_ceilings
from validation.verdicts.floors import Hardware

CEILINGS = pytest.StashKey[tuple[Ceiling, ...]]()
CONTESTS = pytest.StashKey[dict[str, Contest]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[CEILINGS] = measure_ceilings()
    session.config.stash[CONTESTS] = {}


@pytest.fixture
def contests(request: pytest.FixtureRequest) -> dict[str, Contest]:
    """What was measured so far, by the name and dtype of the workload."""
    return request.config.stash[CONTESTS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    contests = config.stash[CONTESTS]
    if not contests:
        return
    ceilings, cpu = larger(config.stash[CEILINGS], measure_ceilings()), read_cpu()
    text = table(contests.values(), Hardware.of_cpu(ceilings, cpu.caches, len(cpu.cores)))
    terminalreporter.write_line(text)
    for contest in contests.values():
        if slow := too_slow(contest.workload):
            title = f"{contest.workload.name} in {contest.workload.layer.dtype}"
            terminalreporter.write_line(f"{title}: not timed, as a call would take too long here: {', '.join(slow)}")
