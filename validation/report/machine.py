"""One machine's part of the report: its checks, its timings, and itself."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.correctness.case import Case, Outcome
from validation.evidence.record import Evidence
from validation.report.charts.bars import Bar, floor_bars
from validation.report.charts.heatmap import heatmap
from validation.report.charts.quantiles import QuantileLine, quantiles
from validation.report.charts.roofline import RooflinePoint, roofline
from validation.report.charts.style import Chart
from validation.report.charts.waterfall import Step, waterfall
from validation.report.charts.workload_share import workload_share
from validation.report.conclusion import count, listed, machine_name
from validation.report.material import EvidenceFile
from validation.report.quantity import duration, significant, size
from validation.report.timing import Timing, by_workload, peaks, timings

#: Classes of token counts for the heat map: a column per class, however many shapes were drawn.
_TOKEN_CLASSES: Final = ((1, "T 0 or 1"), (16, "T 2 to 16"), (128, "T 17 to 128"), (1024, "T 129 to 1024"))
#: Lines in one quantile plot, contenders in one ladder: more cannot be told apart.
_MOST_LINES: Final = 6
#: Workloads of a machine that are drawn; the others have their tables. The report stays one that is read.
_DRAWN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """All cases of one check of one implementation."""

    check: str
    implementation: str
    cases: int
    passed: int
    failed: int
    mistrusted: int
    worst: str
    bits: str
    near_ties: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadView:
    """Everything measured on one workload."""

    title: str
    shape: str
    timings: tuple[Timing, ...]
    floor: str
    charts: tuple[Chart, ...]
    ladder: Chart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """One evidence file, shown."""

    evidence: Evidence
    sha256: str
    name: str
    checks: tuple[CheckRow, ...]
    failures: tuple[Case, ...]
    worst: Case | None
    heat: Chart | None
    workloads: tuple[WorkloadView, ...]
    overview: tuple[Chart, ...]
    facts: tuple[tuple[str, str], ...]
    timing_rejected: str
    ended: tuple[str, ...]


def machine_view(file: EvidenceFile) -> MachineView:
    """Returns what the report says of one machine's evidence."""
    evidence = file.evidence
    times = timings(evidence)
    checked = [case for case in evidence.cases if case.worst is not None and case.outcome is not Outcome.MISTRUSTED]
    return MachineView(
        evidence=evidence,
        sha256=file.sha256,
        name=machine_name(evidence),
        checks=_checks(evidence.cases),
        failures=tuple(case for case in evidence.cases if case.outcome is Outcome.FAILED),
        worst=max(checked, key=lambda case: case.worst or 0.0, default=None),
        heat=_heat(evidence),
        workloads=tuple(
            _workload(evidence, group, drawn=index < _DRAWN) for index, group in enumerate(by_workload(times).values())
        ),
        overview=tuple(chart for chart in (_roofline(evidence, times), _shares(times)) if chart is not None),
        facts=_facts(evidence),
        timing_rejected=_rejected(evidence),
        ended=tuple(
            f"round {process.round}, {process.role.replace('_', ' ')}: {process.ended}"
            for process in evidence.processes
            if process.ended
        ),
    )


def _checks(cases: Sequence[Case]) -> tuple[CheckRow, ...]:
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.check, case.implementation), []).append(case)
    rows = []
    for (check, implementation), group in groups.items():
        outcomes = Counter(case.outcome for case in group)
        worst = max((case.worst for case in group if case.worst is not None), default=None)
        bits = min((case.effective_bits for case in group if case.effective_bits is not None), default=None)
        rows.append(
            CheckRow(
                check=check.replace("_", " "),
                implementation=implementation,
                cases=len(group),
                passed=outcomes[Outcome.PASSED],
                failed=outcomes[Outcome.FAILED],
                mistrusted=outcomes[Outcome.MISTRUSTED],
                worst="–" if worst is None else significant(worst),
                bits="–" if bits is None else f"{bits:.1f}",
                near_ties=sum(case.near_ties for case in group),
            )
        )
    return tuple(rows)


def _heat(evidence: Evidence) -> Chart | None:
    cells: dict[tuple[str, str], float] = {}
    for case in evidence.cases:
        if case.worst is not None:
            key = (case.check.replace("_", " "), _token_class(case.shape))
            cells[key] = max(cells.get(key, 0.0), case.worst)
    if not cells:
        return None
    names = [*(name for _, name in _TOKEN_CLASSES), "T over 1024", "other"]
    columns = [name for name in names if any(column == name for _, column in cells)]
    rows = list(dict.fromkeys(row for row, _ in cells))
    (row, column), worst = max(cells.items(), key=lambda item: item[1])
    verdict = "every error stays inside its bound" if worst <= 1 else "an error exceeds its bound"
    return heatmap(
        cells,
        rows,
        columns,
        alt=f"Heat map of the largest error divided by its bound, by check and token count: {verdict}; the largest "
        f"is {significant(worst)}, in {row} at {column}.",
        caption="Largest error divided by its derived bound; 1 is the limit. Darker green is nearer to it, red beyond.",
    )


def _token_class(shape: str) -> str:
    found = re.search(r"\bT\s*=?\s*(\d{1,9})\b", shape)
    if found is None:
        return "other"
    tokens = int(found[1])
    return next((name for most, name in _TOKEN_CLASSES if tokens <= most), "T over 1024")


def _workload(evidence: Evidence, group: tuple[Timing, ...], *, drawn: bool) -> WorkloadView:
    first = group[0]
    record = next(r for r in evidence.workloads if (r.name, r.dtype) == (first.workload, first.dtype))
    gated = ", gated" if record.gated else ""
    return WorkloadView(
        title=f"{first.workload}, {first.dtype}, {first.device}",
        shape=f"{record.tokens:,} tokens, d {record.d_model:,}, f {record.d_ff:,}, {record.n_experts} experts, "
        f"top-{record.top_k}, {record.activation}{gated}, {record.routing} routing: "
        f"{significant(record.flops / 1e9)} GFLOP a call",
        timings=group,
        floor="not known here" if first.floor_ns is None else duration(first.floor_ns / 1e3),
        charts=tuple(chart for chart in (_quantiles(group), _bars(group)) if chart is not None) if drawn else (),
        ladder=_ladder(group) if drawn else None,
    )


def _quantiles(group: tuple[Timing, ...]) -> Chart | None:
    shown = [t for t in group if t.candidate] + [t for t in group if not t.candidate][: _MOST_LINES - 1]
    if not shown:
        return None
    lines = [
        QuantileLine(name=t.implementation, calls_us=[ns / 1e3 for ns in t.calls_ns], candidate=t.candidate)
        for t in shown
    ]
    fastest = min(shown, key=lambda t: t.median_ns)
    return quantiles(
        lines,
        alt=f"Latency by quantile on {group[0].workload}: {fastest.implementation} has the lowest median, "
        f"{duration(fastest.median_ns / 1e3)}.",
        caption=f"Latency by quantile, {count(sum(len(t.calls_ns) for t in shown), 'accepted call')}"
        + (f"; the {_MOST_LINES} fastest of {len(group)}" if len(group) > len(shown) else "")
        + ".",
    )


def _bars(group: tuple[Timing, ...]) -> Chart | None:
    bars = [
        Bar(
            name=t.implementation,
            share=t.floor_share,
            text=f"{significant(100 * t.floor_share)} %",
            candidate=t.candidate,
        )
        for t in sorted(group, key=lambda t: t.median_ns)
        if t.floor_share is not None
    ]
    if not bars:
        return None
    return floor_bars(
        bars,
        alt=f"Share of the hardware's limit on {group[0].workload}: {bars[0].name} comes nearest, with {bars[0].text}.",
        caption="Share of the measured arithmetic peak that each implementation reaches.",
    )


def _ladder(group: tuple[Timing, ...]) -> Chart | None:
    ordered = sorted(group, key=lambda t: -t.median_ns)
    if len(ordered) < 2:  # noqa: PLR2004 - one contender is no comparison
        return None
    steps = []
    for index, timing in enumerate(ordered):
        time = duration(timing.median_ns / 1e3)
        gain = f", {significant(ordered[index - 1].median_ns / timing.median_ns)}× faster" if index else ""
        name = f"{timing.implementation} ({timing.family})" if timing.family else timing.implementation
        steps.append(Step(name=name, time_us=timing.median_ns / 1e3, text=f"{time}{gain}", candidate=timing.candidate))
    ratio = ordered[0].median_ns / ordered[-1].median_ns
    return waterfall(
        steps,
        alt=f"Ladder of implementations on {group[0].workload}, slowest to fastest: {ordered[-1].implementation} is "
        f"{significant(ratio)} times as fast as {ordered[0].implementation}.",
        caption=f"{group[0].workload}, {group[0].dtype}, {group[0].device}: a bar is the gain over the row above it.",
    )


def _roofline(evidence: Evidence, times: Sequence[Timing]) -> Chart | None:
    """One device and dtype, the candidate's first: points of another ceiling do not belong below this one."""
    mine = next((t for t in times if t.candidate), None)
    if mine is None:
        return None
    peak, bandwidth = peaks(evidence, mine.dtype, mine.device)
    if peak is None or bandwidth is None:
        return None
    points = [
        RooflinePoint(
            name=f"{t.workload}: {significant(t.gflop_per_s)} GFLOP/s",
            intensity=t.flops / t.min_bytes,
            flop_per_s=t.gflop_per_s * 1e9,
            candidate=t.candidate,
        )
        for t in times
        if (t.dtype, t.device) == (mine.dtype, mine.device) and t.min_bytes
    ]
    best = max((p for p in points if p.candidate), key=lambda p: p.flop_per_s)
    return roofline(
        points,
        peak=peak,
        bandwidth=bandwidth,
        unit="GFLOP/s",
        alt=f"Roofline with measured ceilings, {mine.dtype} on {mine.device}: at its best the kernel reaches "
        f"{significant(best.flop_per_s / 1e9)} of {significant(peak / 1e9)} GFLOP/s.",
        caption=f"Roofline, {mine.dtype} on {mine.device}: rates under the ceilings measured in the same run "
        f"({significant(bandwidth / 1e9)} GB/s from memory). The grey area is beyond the hardware.",
    )


def _shares(times: Sequence[Timing]) -> Chart | None:
    speedups = []
    for group in by_workload(times).values():
        mine = next((t for t in group if t.candidate), None)
        others = [t for t in group if not t.candidate]
        if mine and others:
            speedups.append(min(t.median_ns for t in others) / mine.median_ns)
    if not speedups:
        return None
    faster = sum(speedup >= 1 for speedup in speedups)
    return workload_share(
        speedups,
        alt=f"The kernel is at least as fast as the strongest measured baseline on {faster} of "
        f"{count(len(speedups), 'workload')}; "
        f"the speedups go from {significant(min(speedups))} to {significant(max(speedups))}.",
        caption="Share of workloads on which the kernel is at least so many times as fast as the strongest baseline.",
    )


def _rejected(evidence: Evidence) -> str:
    blocks = [block for process in evidence.processes for series in process.series for block in series.blocks]
    rejected = sum(not block.accepted for block in blocks)
    return f"{rejected:,} of {count(len(blocks), 'block')} of calls" if blocks else "no blocks"


def _facts(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    e = evidence.environment
    facts = [
        ("Processor", f"{e.cpu_model} (family/model {e.cpu_family})"),
        ("Cores, threads used", f"{e.cores}, {e.threads_used}"),
        ("Memory", size(e.memory_bytes)),
        ("Caches", ", ".join(f"{name} {size(value)}" for name, value in e.caches.items()) or "not readable"),
        ("Vector features", ", ".join(e.cpu_features) or "none named"),
        ("Clock governor", e.governor),
        ("Virtualised", e.virtualized or "no"),
    ]
    if e.gpu:
        facts.append(
            (
                "GPU",
                (
                    f"{e.gpu.name}, {size(e.gpu.memory_bytes)}, driver {e.gpu.driver}, "
                    f"capability {e.gpu.compute_capability}"
                ),
            )
        )
    facts += [
        ("System", f"{e.os}, kernel {e.kernel}, {e.libc}"),
        ("Python", e.python),
        ("Libraries", listed([f"{name} {version}" for name, version in e.packages.items()]) if e.packages else "none"),
        ("Compilers", ", ".join(f"{name} {version}" for name, version in e.compilers.items()) or "none"),
        ("Compiler flags", "; ".join(f"{name}: {flags}" for name, flags in e.compiler_flags.items()) or "none"),
        ("Variables set aside", ", ".join(e.dropped_variables) or "none"),
        ("Hardware fingerprint", e.fingerprint),
    ]
    for ceiling in evidence.ceilings:
        what = f"{ceiling.dtype} arithmetic" if ceiling.dtype else f"reading from {ceiling.level}"
        scale, unit = (1e9, "GFLOP/s") if ceiling.unit == "flop/s" else (1e9, "GB/s")
        facts.append(
            (
                f"Ceiling: {what}, {ceiling.device}",
                (
                    f"{significant(ceiling.value / scale, 4)} {unit}, {count(ceiling.threads, 'thread')}, best of "
                    f"{len(ceiling.samples)} ({ceiling.method})"
                ),
            )
        )
    return tuple(facts)
