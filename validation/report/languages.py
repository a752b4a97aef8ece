"""One workload in every language that was measured, as a Markdown page made from evidence alone."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from validation.performance.statistics import Estimate, level
from validation.report.ablation import variants
from validation.report.timing import Timing, kept, over, timings
from validation.report.words import count
from validation.verdicts.units import duration, significant, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validation.evidence.record import Evidence, WorkloadRecord

#: Takes minutes at the published shape; its time there is that of few tokens times as many.
EXTRAPOLATED: Final = "python_lists"
_LANGUAGES: Final = {
    "python": "Python",
    "numpy": "Python, NumPy",
    "torch": "Python, PyTorch",
    "onnx": "C++, ONNX Runtime",
    "ggml": "C++, llama.cpp's ggml",
    "max": "Mojo, MAX",
    "cpp": "C++",
    "mojo": "Mojo",
}
_CONFIDENCE: Final = 0.95

#: What was tried or looked at beside those in the table. No figures: those come from the evidence.
_PEERS: Final = """## Peers

Measured: every PyTorch form above; `torch.compile` of the loop over experts and of the dense form, ONNX Runtime's
`com.microsoft.MoE` operator, llama.cpp's graph over `ggml_mul_mat_id` and MAX's `linalg.matmul` for each expert, where
they are installed and the profile has time for them (a line above says so where not); the kernel's own algorithm in C++
with intrinsics; plain C++ loops with the compiler's vectoriser on and off.

Not measured, and why:

- **`torch.compile` of `grouped_mm`** in float32: its meta kernel demands bfloat16. Eager `grouped_mm` is measured.
- **JAX, TensorFlow, OpenVINO**: no Mixture-of-Experts operator on a CPU; a matmul per expert there is oneDNN's or
  Eigen's, which PyTorch and ONNX Runtime stand for.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A contender: its time with an interval, what it cost to begin, and its time over the candidate's."""

    timing: Timing
    time: Estimate
    ratio: Estimate | None
    prepare_bytes: int
    first_call_ns: float


def languages_page(evidence: Evidence, sha256: str, workload: str, dtype: str = "float32") -> str:
    """Returns the page for one workload.

    Raises:
        ValueError: the evidence holds no times of that workload and dtype.
    """
    record = next((one for one in evidence.workloads if (one.name, one.dtype) == (workload, dtype)), None)
    rows = tuple(_rows(evidence, workload, dtype))
    if record is None or not rows:
        msg = f"the evidence holds no times of {workload} in {dtype}"
        raise ValueError(msg)
    ablations = variants(evidence)
    contenders = sorted((row for row in rows if row.timing.implementation not in ablations), key=_time)
    parts = sorted((row for row in rows if row.timing.implementation in ablations), key=_time)
    return "\n".join(
        (
            *_head(evidence, sha256, record, contenders),
            *_table(contenders, _extrapolation(evidence, record), evidence),
            *_contributions(parts, evidence),
            *_left_out(evidence),
            _PEERS.rstrip(),
            "",
        )
    )


def _rows(evidence: Evidence, workload: str, dtype: str) -> Iterator[Row]:
    found = [one for one in timings(evidence) if (one.workload, one.dtype, one.device) == (workload, dtype, "cpu")]
    candidate = next((one for one in found if one.candidate), None)
    for timing in found:
        time = level(timing.process_ns, _CONFIDENCE)
        if time is None:
            continue
        series = [
            one
            for _process, one in kept(evidence)
            if (one.implementation, one.workload, one.dtype) == (timing.implementation, workload, dtype)
        ]
        firsts = sorted(one.first_call_ns for one in series)
        yield Row(
            timing=timing,
            time=time,
            ratio=None if candidate is None or timing.candidate else over(evidence, timing, candidate, _CONFIDENCE),
            prepare_bytes=sorted(one.prepare_bytes for one in series)[len(series) // 2],
            first_call_ns=firsts[len(firsts) // 2],
        )


def _head(evidence: Evidence, sha256: str, record: WorkloadRecord, rows: Sequence[Row]) -> Iterator[str]:
    environment = evidence.environment
    yield "# One layer in several languages"
    yield ""
    yield "Written by `moe-validation languages EVIDENCE.json`; no figure here was typed. A gain between two rows is"
    yield "one between two programs, algorithm, library and language together, and never the language alone."
    yield ""
    yield (
        f"`{record.name}`: {record.tokens} tokens, d_model {record.d_model}, d_ff {record.d_ff}, {record.n_experts} "
        f"experts, top-{record.top_k}, {record.activation}, {record.dtype}: {significant(record.flops / 1e9)} GFLOP "
        "a call."
    )
    floors = ((row.timing.floor, row.timing.usual_floor) for row in rows)
    floor, usual = next((pair for pair in floors if None not in pair), (None, None))
    if floor is not None and usual is not None:
        yield (
            f"The hardware's floor is {duration(floor.ns / 1e3)}, by its measured {floor.bound_by} ceiling at its "
            f"best, which no program can pass, and {duration(usual.ns / 1e3)} at the machine's usual speed, of which "
            "shares are."
        )
    threads = max((process.threads for process in evidence.processes), default=1)
    yield ""
    yield (
        f"Machine: {environment.machine}, {threads} threads. Run {evidence.run_id}, profile {evidence.profile}, "
        f"recorded {evidence.recorded_at}; evidence sha256 `{sha256[:16]}`. Times are medians of processes with 95 % "
        "intervals."
    )
    yield ""


def _table(rows: Sequence[Row], extrapolated: tuple[str, float] | None, evidence: Evidence) -> Iterator[str]:
    yield "| contender | language | a call | of the floor | times the kernel's | prepare | memory | first call |"
    yield "|---|---|---|---|---|---|---|---|"
    described = {one.name: one.description for one in evidence.implementations}
    for row in rows:
        timing = row.timing
        share = "–" if timing.floor_share is None else f"{significant(100 * timing.floor_share)} %"
        name = f"**{timing.implementation}**" if timing.candidate else timing.implementation
        yield (
            f"| {name}: {described.get(timing.implementation, '')} | {_LANGUAGES.get(timing.family, timing.family)} | "
            f"{_times(row.time)} | {share} | {_over(row.ratio)} | {duration(timing.prepare_ns / 1e3)} | "
            f"{size(row.prepare_bytes)} | {duration(row.first_call_ns / 1e3)} |"
        )
    if extrapolated is not None:
        text, ns = extrapolated
        candidate = next((row for row in rows if row.timing.candidate), None)
        over = "–" if candidate is None else f"about {significant(ns / candidate.time.value, 2)}×"
        floor = None if candidate is None else candidate.timing.usual_floor
        share = "–" if floor is None else f"{significant(100 * floor.ns / ns, 2)} %"
        yield f"| {EXTRAPOLATED}: {text} | Python | about {duration(ns / 1e3)} | {share} | {over} | – | – | – |"
    yield ""
    yield "Times are those at the machine's usual speed. Prepare is outside of every call's clock. Its memory is what"
    yield "the process grew by: baselines share one, and one may take what another gave back. A wide interval is that"
    yield "of a contender most of whose calls were rejected: a speed probe beside them was slow, or other processes had"
    yield "the cores."
    yield ""


def _extrapolation(evidence: Evidence, record: WorkloadRecord) -> tuple[str, float] | None:
    """Pure Python's time from the most tokens it was measured at, by the same layer: its work grows as the tokens."""
    shape = ("d_model", "d_ff", "n_experts", "top_k", "activation", "gated", "dtype")
    tokens = {
        one.name: one.tokens
        for one in evidence.workloads
        if all(getattr(one, name) == getattr(record, name) for name in shape)
    }
    timed = [(one.workload, one.median_ns) for one in timings(evidence) if one.implementation == EXTRAPOLATED]
    noted = [
        (one.workload, 1e9 * statistics.median(one.samples))
        for one in evidence.figures
        if (one.name, one.implementation) == ("call-s", EXTRAPOLATED)
    ]
    found = [(tokens[workload], ns) for workload, ns in (*timed, *noted) if workload in tokens]
    if not found or any(workload == record.name for workload, _ns in timed):
        return None
    most, ns = max(found)
    text = f"**extrapolated** from {duration(ns / 1e3)} at {count(most, 'token')}, in proportion"
    return text, ns * record.tokens / most


def _contributions(rows: Sequence[Row], evidence: Evidence) -> Iterator[str]:
    """What each technique gives: the kernel without it over the kernel with it."""
    if not rows:
        return
    described = {one.name: one.description for one in evidence.implementations}
    yield "## What each technique of the kernel gives"
    yield ""
    yield "Each row is the same source with one thing changed by a switch of the compiler. Above 1 the change costs"
    yield "that much, so the technique gives it; an interval that holds 1 shows nothing."
    yield ""
    yield "| variant | a call | times the kernel's |"
    yield "|---|---|---|"
    for row in rows:
        name = row.timing.implementation
        yield f"| {name}: {described.get(name, '')} | {_times(row.time)} | {_over(row.ratio)} |"
    half = _half_precision(rows, evidence)
    if half:
        yield half
    yield ""


def _half_precision(rows: Sequence[Row], evidence: Evidence) -> str:
    """The kernel in bfloat16, where the run measured it: of the same rounds, minutes apart."""
    of = rows[0].timing
    found = {
        one.dtype: one
        for one in timings(evidence)
        if one.candidate and (one.workload, one.device) == (of.workload, of.device)
    }
    if not {"float32", "bfloat16"} <= found.keys():
        return ""
    time = level(found["bfloat16"].process_ns, _CONFIDENCE)
    ratio = over(evidence, found["bfloat16"], found["float32"], _CONFIDENCE)
    return "" if time is None else f"| mojo in bfloat16 | {_times(time)} | {_over(ratio)} |"


def _left_out(evidence: Evidence) -> Iterator[str]:
    lines: Iterable[str] = (line for line in evidence.left_out if not line.startswith("figure "))
    listed = tuple(lines)
    if listed:
        yield "## What this run left out"
        yield ""
        yield from (f"- {line}" for line in listed)
        yield ""


def _times(estimate: Estimate) -> str:
    return f"{duration(estimate.value / 1e3)} [{duration(estimate.low / 1e3)}, {duration(estimate.high / 1e3)}]"


def _over(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{significant(estimate.value)}× [{significant(estimate.low)}, {significant(estimate.high)}]"


def _time(row: Row) -> float:
    return row.time.value
