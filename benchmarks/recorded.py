"""The table of `make bench`, of what a run has recorded.

python -m benchmarks.recorded EVIDENCE.json            prints it
python -m benchmarks.recorded EVIDENCE.json --write    puts it into docs/CPU_KERNEL.md too
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.contests import Contest
from benchmarks.document import write
from benchmarks.table import table
from validation.evidence.store import load
from validation.verdicts.floors import Hardware
from validation.workloads.registry import find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.evidence.record import Evidence

MARK: Final = "<!-- python -m benchmarks.recorded EVIDENCE.json --write -->"


def contests(evidence: Evidence) -> Iterator[Contest]:
    """Yields what was measured on the CPU, a contest for each workload and dtype, in the order it was measured."""
    measured = dict.fromkeys(
        (series.workload, series.dtype)
        for process in evidence.processes
        for series in process.series
        if series.device == "cpu"
    )
    for name, dtype in measured:
        workload = find(name)
        processes = tuple(
            process
            for process in evidence.processes
            if any((one.workload, one.dtype, one.device) == (name, dtype, "cpu") for one in process.series)
        )
        named = replace(workload, layer=replace(workload.layer, dtype=dtype))
        yield Contest(workload=named, processes=processes, rule=evidence.rule_of("cpu"))


def main() -> None:
    """Prints the table, and writes it where it was asked to."""
    names = [argument for argument in sys.argv[1:] if argument != "--write"]
    if len(names) != 1:
        raise SystemExit(__doc__)
    evidence = load(Path(names[0]))
    text = table(contests(evidence), Hardware.of(evidence, "cpu"))
    told = (
        f"{evidence.environment.machine}, {evidence.environment.threads_used} threads, profile {evidence.profile}, "
        f"recorded {evidence.recorded_at[:10]} at {evidence.suite.commit[:7]}."
    )
    sys.stdout.write(f"{told}\n{text}\n")
    if "--write" in sys.argv[1:]:
        write(MARK, f"```text\n{told}\n{text}\n```")


if __name__ == "__main__":
    main()
