"""Prints the table once everything was timed, and writes it into the document where that is asked for."""

import pytest

from benchmarks.document import write
from benchmarks.table import table, timed_of
from validation.cpu import read_cpu
from validation.performance.ceiling import Ceiling
from validation.performance.ceilings import larger, measure_ceilings

MARK = "<!-- make bench BENCH=--write-table -->"
CEILINGS = pytest.StashKey[tuple[Ceiling, ...]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-table", action="store_true", help="put the table into docs/CPU_KERNEL.md")


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[CEILINGS] = measure_ceilings()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    timed = timed_of(config._benchmarksession.benchmarks)  # type: ignore[attr-defined] # noqa: SLF001 -- its only way
    if not timed:
        return
    ceilings = larger(config.stash[CEILINGS], measure_ceilings())
    text = table(timed, ceilings, read_cpu())
    terminalreporter.write_line(text)
    if config.getoption("--write-table"):
        write(MARK, f"```text\n{text}\n```")
