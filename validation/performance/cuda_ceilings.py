"""Measures a GPU's ceilings: FLOP/s of large matmuls by dtype, and bytes/s of a copy within its memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch

from validation.performance.ceiling import Ceiling, Resource

#: Side of the matmul by dtype: 1.1 PFLOP take 1.4 ms in 16 bits, and float32 is some 15 times slower.
SIDES: Final = {"bfloat16": 8192, "float16": 8192, "float32": 4096}
COPY_BYTES: Final = 1 << 30
#: The repeats go round all ceilings, as on the CPU: a chip that was just hot is slower for a while.
ROUNDS: Final = 8
REPEATS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One ceiling before its samples are there: `run` does `work` FLOP or moves `work` bytes."""

    resource: Resource
    dtype: str | None = None
    level: str | None = None
    unit: Literal["flop/s", "byte/s"]
    work: int
    method: str
    run: Callable[[], Any]


def measure_cuda_ceilings(*, rounds: int = ROUNDS) -> tuple[Ceiling, ...]:
    """Returns the ceilings of the first GPU, measured now in about a second; PyTorch does the work."""
    multiprocessors = torch.cuda.get_device_properties(0).multi_processor_count
    questions = [*(_matmul(dtype, side) for dtype, side in SIDES.items()), _copy()]
    return ceilings_of(questions, multiprocessors, _seconds, rounds=rounds)


def ceilings_of(
    questions: list[_Question], multiprocessors: int, seconds: Callable[[Callable[[], Any]], float], *, rounds: int
) -> tuple[Ceiling, ...]:
    """Returns each ceiling's best of `rounds`, `seconds` being what times one run of a question."""
    samples: list[list[float]] = [[] for _ in questions]
    for _ in range(rounds):
        for question, taken in zip(questions, samples, strict=True):
            taken.append(question.work / seconds(question.run))
    return tuple(
        Ceiling(
            device="cuda",
            resource=question.resource,
            dtype=question.dtype,
            level=question.level,
            threads=multiprocessors,
            unit=question.unit,
            value=max(taken),
            samples=tuple(taken),
            method=f"{question.method}, best of {len(taken)}",
        )
        for question, taken in zip(questions, samples, strict=True)
    )


def _matmul(dtype: str, side: int) -> _Question:
    kind = getattr(torch, dtype)
    # Random, as on zeros a GPU draws less power and runs faster.
    a, b = (torch.randn((side, side), device="cuda").to(kind) for _ in range(2))
    out = torch.empty_like(a)
    return _Question(
        resource=Resource.COMPUTE,
        dtype=dtype,
        unit="flop/s",
        work=2 * side**3,
        method=f"torch.mm of {side} x {side} random {dtype}, TF32 off",
        run=lambda: torch.mm(a, b, out=out),
    )


def _copy() -> _Question:
    source, target = torch.zeros((2, COPY_BYTES), dtype=torch.uint8, device="cuda").unbind()
    return _Question(
        resource=Resource.READ_BANDWIDTH,
        level="HBM",
        unit="byte/s",
        work=2 * COPY_BYTES,
        method="copy of 1 GiB within the GPU's memory, bytes read and written",
        run=lambda: target.copy_(source),
    )


def _seconds(run: Callable[[], Any]) -> float:
    """Seconds of one run, the mean of a few between events, after one that is not timed."""
    run()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    for _ in range(REPEATS):
        run()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) * 1e-3 / REPEATS
