"""Latency under load as the report shows it: requests from their arrival to their answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from validation.claims.claim import Arrivals, Load
from validation.evidence.record import Evidence
from validation.performance.load import accepts_load
from validation.report.charts.quantiles import QuantileLine, quantiles
from validation.report.charts.style import Chart
from validation.report.words import count
from validation.verdicts.units import duration, significant

_SHARES = (0.5, 0.95, 0.99)
#: Lines in one plot, more of which cannot be told apart, and plots of a machine; the table has all.
_MOST_LINES, _MOST_CHARTS = 6, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRow:
    """One implementation under one load: `quantiles` are p50, p95 and p99 of the accepted requests."""

    name: str
    about: str
    load: str
    requests: int
    processes: int
    rejected: int
    quantiles: tuple[str, ...]
    latencies_us: tuple[float, ...]

    @property
    def short(self) -> str:
        """The load as a line's label has room for it."""
        return self.load.removeprefix("arriving at ").replace("per second", "a second")


def load_rows(evidence: Evidence) -> tuple[LoadRow, ...]:
    """Returns every load that was served, in the order of the evidence; the quantiles are those of the verdicts."""
    grouped: dict[tuple[str, str, str, str, str], list[tuple[bool, tuple[int, ...]]]] = {}
    for run in evidence.loads:
        key = (run.implementation, run.workload, run.dtype, run.device, load_words(run.load))
        grouped.setdefault(key, []).append((accepts_load(evidence.rule_of(run.device), run), run.latencies_ns))
    rows = []
    for (name, workload, dtype, device, load), runs in grouped.items():
        pooled = sorted(ns / 1e3 for accepted, latencies in runs if accepted for ns in latencies)
        found = np.quantile(pooled, _SHARES, method="inverted_cdf") if pooled else ()
        rows.append(
            LoadRow(
                name=name,
                about=f"{workload}, {dtype}, {'CPU' if device == 'cpu' else 'GPU'}",
                load=load,
                requests=len(pooled),
                processes=sum(accepted for accepted, _ in runs),
                rejected=sum(not accepted for accepted, _ in runs),
                quantiles=tuple(duration(float(value)) for value in found) or ("–",) * len(_SHARES),
                latencies_us=tuple(pooled),
            )
        )
    return tuple(rows)


def load_charts(rows: tuple[LoadRow, ...]) -> tuple[Chart, ...]:
    """Returns the latencies by quantile, a figure per workload and a line per load; no request accepted, no figure."""
    shown = [row for row in rows if row.latencies_us]
    workloads = dict.fromkeys(row.about for row in shown)
    return tuple(_chart([row for row in shown if row.about == about]) for about in list(workloads)[:_MOST_CHARTS])


def _chart(rows: Sequence[LoadRow]) -> Chart:
    shown = rows[:_MOST_LINES]
    several = len({row.name for row in shown}) > 1
    told = "; ".join(f"{row.load}: p50 {row.quantiles[0]}, p99 {row.quantiles[2]}" for row in shown)
    return quantiles(
        [
            QuantileLine(
                name=f"{row.name}, {row.short}" if several else row.short,
                calls_us=row.latencies_us,
                candidate=index == 0,
            )
            for index, row in enumerate(shown)
        ],
        alt=f"Latency under load by quantile on {shown[0].about}. {told}.",
        caption=f"{shown[0].about}: latency of a request from its arrival to its answer, by quantile.",
    )


def load_words(load: Load) -> str:
    """Returns `one at a time`, `10 in flight`, `arriving at 100 per second`."""
    if load.arrivals is Arrivals.OPEN:
        return f"arriving at {significant(load.per_s or 0.0)} per second"
    return "one at a time" if load.concurrency == 1 else f"{count(load.concurrency, 'request')} in flight"
