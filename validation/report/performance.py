"""Performance as the report shows it: a view per workload, and what is seen over all of them."""

import statistics
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from validation.evidence.record import Evidence
from validation.report.charts.bars import Bar, floor_bars
from validation.report.charts.quantiles import QuantileLine, quantiles
from validation.report.charts.roofline import RooflinePoint, roofline
from validation.report.charts.style import Chart
from validation.report.charts.waterfall import Step, waterfall
from validation.report.charts.workload_share import workload_share
from validation.report.quantity import figure_name, figure_value
from validation.report.timing import Timing, bandwidths, by_workload, peak
from validation.report.words import count, listed, number_word
from validation.verdicts.floors import Floor
from validation.verdicts.units import duration, significant

#: Lines in one quantile plot, contenders in one ladder: more cannot be told apart.
_MOST_LINES: Final = 6
#: Workloads of a machine that are drawn; the others have their tables. The report stays one that is read.
_DRAWN: Final = 2
#: Fewer workloads than this are told in a sentence: a curve of one or two steps shows nothing more.
_FEWEST_SHARES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadView:
    """Everything measured on one workload, whose place in the report is `anchor`; of a few there are charts."""

    anchor: str
    key: tuple[str, str, str]
    title: str
    drawn: bool
    shape: str
    timings: tuple[Timing, ...]
    floor: str
    charts: tuple[Chart, ...]
    ladder: Chart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """A quantity measured beside the calls."""

    name: str
    about: str
    value: str
    spread: str
    samples: int
    method: str


def workload_views(
    evidence: Evidence, times: Sequence[Timing], letter: str, variants: AbstractSet[str]
) -> tuple[WorkloadView, ...]:
    """Returns a view of every workload that was timed; the first few are drawn, without the kernel's own variants."""
    groups = by_workload(times).values()
    half = len(groups) > 1
    return tuple(
        _workload(evidence, group, f"w-{letter}-{number}", variants if number <= _DRAWN else None, half=half)
        for number, group in enumerate(groups, 1)
    )


def overview(evidence: Evidence, times: Sequence[Timing]) -> tuple[Chart, ...]:
    """Returns the charts over all workloads: the roofline, and the share of workloads that are faster."""
    return tuple(chart for chart in (_roofline(evidence, times), _shares(times)) if chart is not None)


def speedups_told(times: Sequence[Timing]) -> str:
    """Returns on how many workloads the kernel is at least as fast as the strongest baseline; empty without any."""
    found = _speedups(times)
    if not found:
        return ""
    if len(found) == 1:
        name, speedup = found[0]
        return f"The kernel is {significant(speedup)} times as fast as the strongest baseline measured on {name}."
    faster = sum(speedup >= 1 for _, speedup in found)
    told = listed([f"{significant(speedup)}× on {name}" for name, speedup in found[:_FEWEST_SHARES]])
    more = "" if len(found) <= _FEWEST_SHARES else "; the curve shows all"
    return (
        f"The kernel is at least as fast as the strongest baseline measured on {number_word(faster)} of "
        f"{count(len(found), 'workload')}: {told}{more}."
    )


def figure_rows(evidence: Evidence) -> tuple[FigureRow, ...]:
    """Returns the quantities that were measured beside the calls, by name; how is said of the first of a kind."""
    ordered = sorted(evidence.figures, key=lambda one: (one.name, one.method))
    told = [(one.name, one.method) for one in ordered]
    return tuple(
        FigureRow(
            name=figure_name(one.name),
            about=", ".join(part for part in (one.implementation, one.workload, one.dtype, one.device) if part),
            value=figure_value(one.name, statistics.median(one.samples)),
            spread=f"{figure_value(one.name, min(one.samples))} to {figure_value(one.name, max(one.samples))}",
            samples=len(one.samples),
            method="as above" if told.index((one.name, one.method)) < number else one.method,
        )
        for number, one in enumerate(ordered)
    )


def _workload(
    evidence: Evidence, group: tuple[Timing, ...], anchor: str, variants: AbstractSet[str] | None, *, half: bool
) -> WorkloadView:
    """`variants` are left out of the charts; with None there are no charts. `half`: two ladders stand abreast."""
    first = group[0]
    title = f"{first.workload}, {first.dtype}, {_device(first.device)}"
    drawn = () if variants is None else tuple(t for t in group if t.implementation not in variants)
    record = next(r for r in evidence.workloads if (r.name, r.dtype) == (first.workload, first.dtype))
    gated = ", gated" if record.gated else ""
    return WorkloadView(
        anchor=anchor,
        key=(first.workload, first.dtype, first.device),
        title=title,
        drawn=variants is not None,
        shape=f"{count(record.tokens, 'token')}, d {record.d_model:,}, f {record.d_ff:,}, {record.n_experts} experts, "
        f"top-{record.top_k}, {record.activation}{gated}, {record.routing} routing; "
        f"{significant(record.flops / 1e9)} GFLOP a call",
        timings=group,
        floor=_floor(first.floor),
        charts=tuple(chart for chart in (_quantiles(drawn, title), _bars(drawn, title)) if chart is not None),
        ladder=_ladder(drawn, title, half=half),
    )


def _device(device: str) -> str:
    return "CPU" if device == "cpu" else "GPU"


def _floor(floor: Floor | None) -> str:
    if floor is None:
        return "not known here"
    what = f"{significant(floor.rate / 1e9)} {'GFLOP/s' if floor.bound_by == 'compute' else 'GB/s'}"
    return f"{duration(floor.ns / 1e3)}, bound by {'arithmetic' if floor.bound_by == 'compute' else 'memory'} at {what}"


def _quantiles(group: tuple[Timing, ...], title: str) -> Chart | None:
    shown = [t for t in group if t.candidate] + [t for t in group if not t.candidate][: _MOST_LINES - 1]
    if not shown:
        return None
    lines = [
        QuantileLine(name=t.implementation, calls_us=[ns / 1e3 for ns in t.calls_ns], candidate=t.candidate)
        for t in shown
    ]
    fastest = min(shown, key=lambda t: t.median_ns)
    slowest = max(shown, key=lambda t: t.median_ns)
    most = "" if len(shown) == len(group) else f"; the {len(shown)} fastest of {len(group)}"
    return quantiles(
        lines,
        alt=f"Latency by quantile on {group[0].workload}: {fastest.implementation} has the lowest median, "
        f"{duration(fastest.median_ns / 1e3)}; the slowest shown, {slowest.implementation}, "
        f"{duration(slowest.median_ns / 1e3)}.",
        caption=f"{title}: time of one call by quantile, {sum(len(t.calls_ns) for t in shown):,} accepted calls{most}.",
    )


def _bars(group: tuple[Timing, ...], title: str) -> Chart | None:
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
        caption=f"{title}: share of the hardware's usual limit, the least time the ceilings allow over the median.",
    )


def _ladder(group: tuple[Timing, ...], title: str, *, half: bool) -> Chart | None:
    ordered = sorted(group, key=lambda t: -t.median_ns)
    if len(ordered) < 2:  # noqa: PLR2004 - one contender is no comparison
        return None
    steps = []
    for index, timing in enumerate(ordered):
        time = duration(timing.median_ns / 1e3)
        gain = f", {significant(ordered[index - 1].median_ns / timing.median_ns)}×" if index else ""
        named = timing.implementation.startswith(timing.family)
        name = timing.implementation if named else f"{timing.implementation} ({timing.family})"
        steps.append(Step(name=name, time_us=timing.median_ns / 1e3, text=f"{time}{gain}", candidate=timing.candidate))
    ratio = ordered[0].median_ns / ordered[-1].median_ns
    return waterfall(
        steps,
        alt=f"Ladder of implementations on {group[0].workload}, slowest to fastest: {ordered[-1].implementation} is "
        f"{significant(ratio)} times as fast as {ordered[0].implementation}.",
        caption=f"{title}: a bar, and the factor beside its time, is the gain over the row above.",
        half=half,
    )


def _roofline(evidence: Evidence, times: Sequence[Timing]) -> Chart | None:
    """One device and dtype, the candidate's first: points of another ceiling do not belong below this one."""
    mine = next((t for t in times if t.candidate), None)
    if mine is None:
        return None
    top, levels = peak(evidence, mine.dtype, mine.device), bandwidths(evidence, mine.device)
    if top is None or not levels:
        return None
    points = [
        RooflinePoint(
            name=t.workload,
            intensity=t.flops / t.min_bytes,
            flop_per_s=t.gflop_per_s * 1e9,
            candidate=t.candidate,
        )
        for t in times
        if (t.dtype, t.device) == (mine.dtype, mine.device) and t.min_bytes
    ]
    best = max((p for p in points if p.candidate), key=lambda p: p.flop_per_s, default=None)
    if best is None:
        return None
    # The fastest level bounds what a warm call may do, the slowest what a cold one must: the rest would be clutter.
    shown = levels[:1] + levels[-1:] if len(levels) > 1 else levels
    told = listed([f"{significant(rate / 1e9)} GB/s from {level}" for level, rate in shown])
    return roofline(
        points,
        peak=top,
        bandwidths=shown,
        alt=f"Roofline with measured ceilings, {mine.dtype} on the {_device(mine.device)}: at its best the kernel "
        f"reaches {significant(best.flop_per_s / 1e9)} of {significant(top / 1e9)} GFLOP/s.",
        caption=f"Roofline, {mine.dtype} on the {_device(mine.device)}: rates under the ceilings measured in the same "
        f"run ({told}). Grey is beyond the hardware.",
    )


def _speedups(times: Sequence[Timing]) -> list[tuple[str, float]]:
    found = []
    for (workload, dtype, _), group in by_workload(times).items():
        mine = next((t for t in group if t.candidate), None)
        others = [t for t in group if not t.candidate and mine is not None and t.family != mine.family]
        if mine and others:
            found.append((f"{workload} in {dtype}", min(t.median_ns for t in others) / mine.median_ns))
    return found


def _shares(times: Sequence[Timing]) -> Chart | None:
    speedups = [speedup for _, speedup in _speedups(times)]
    if len(speedups) < _FEWEST_SHARES:
        return None
    faster = sum(speedup >= 1 for speedup in speedups)
    return workload_share(
        speedups,
        alt=f"The kernel is at least as fast as the strongest measured baseline on {faster} of "
        f"{count(len(speedups), 'workload')}; "
        f"the speedups go from {significant(min(speedups))} to {significant(max(speedups))}.",
        caption="Share of workloads on which the kernel is at least so many times as fast as the strongest baseline.",
    )
