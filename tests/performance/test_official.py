"""Mojo's own benchmark is run, read and put beside the suite's figure, or it is said why not."""

from pathlib import Path

import pytest

from tests import synthetic
from validation.implementations.failure import ImplementationFailed
from validation.implementations.mojo_build import BENCHMARK, BuiltKernel, build_kernel
from validation.performance.gauge import Gauge
from validation.performance.official import OFFICIAL_RATIO, measure_official, run_official
from validation.stages.beside import Beside
from validation.workloads.registry import find
from validation.workloads.shape import parse_shape

WORKLOAD = find("seed-claim")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validation.performance.gauge._PAUSE_S", 0.0)


def program(folder: Path, script: str) -> Path:
    path = folder / "benchmark"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_mean_is_the_last_line_that_the_program_says(tmp_path: Path) -> None:
    told = program(tmp_path, "echo Mean: 1; echo mean_ns 4700000")
    assert run_official(told, WORKLOAD, 2) == 4_700_000


def test_the_program_is_told_the_shape_and_the_threads(tmp_path: Path) -> None:
    run_official(program(tmp_path, f'echo "$*" > {tmp_path}/arguments; echo mean_ns 1'), WORKLOAD, 3)
    assert (tmp_path / "arguments").read_text().startswith("256 1024 4 2 1024 3 ")


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("echo no memory >&2; exit 1", "no memory"),
        ("echo mean_ns", "said"),
        ("echo mean_ns -3", "said"),
        ("true", "said"),
    ],
)
def test_a_program_that_fails_or_says_nothing_is_quoted(tmp_path: Path, script: str, cause: str) -> None:
    with pytest.raises(ImplementationFailed, match=cause):
        run_official(program(tmp_path, script), WORKLOAD, 2)


def test_a_figure_taken_beside_a_slow_probe_is_none(tmp_path: Path) -> None:
    gauge = Gauge(probe=lambda: 50.0, before=100.0)
    assert measure_official(program(tmp_path, "echo mean_ns 5"), WORKLOAD, 2, gauge) is None


def test_the_ratio_is_of_processes_of_the_same_round() -> None:
    evidence = synthetic.evidence(times_us={"seed-claim": {synthetic.CANDIDATE: 10_000.0}})
    rounds = sorted({run.round for run in evidence.processes if not run.discarded})
    aside = Beside(workload=WORKLOAD, threads=2, loads=(), overheads=(), program=None)
    # A round of the module's alone has nothing to be compared with.
    assert evidence.probe is not None
    aside.official_flop.update(dict.fromkeys((*rounds, 999), 5e-3 * evidence.probe.usual_flop_per_s))
    (figure,) = aside.figures(evidence, synthetic.CANDIDATE)
    assert (figure.name, len(figure.samples)) == (OFFICIAL_RATIO, len(rounds))
    assert figure.samples == pytest.approx([2.0] * len(rounds), rel=0.1)
    # Resumed, the samples that were there stay.
    more = aside.figures(evidence.model_copy(update={"figures": (figure,)}), synthetic.CANDIDATE)
    assert len(more[0].samples) == 2 * len(rounds)


def test_a_mean_is_told_in_what_the_probes_beside_it_would_have_done(tmp_path: Path) -> None:
    # The middle one of three runs; the second does not count.
    speeds = iter([90.0, 110.0, 100.0, 50.0, 100.0, 140.0])
    gauge = Gauge(probe=lambda: next(speeds), before=100.0)
    assert measure_official(program(tmp_path, "echo mean_ns 5"), WORKLOAD, 2, gauge) == pytest.approx(5e-9 * 110)


@pytest.mark.timeout(300)
def test_the_real_program_times_the_kernel_from_mojo() -> None:
    built = build_kernel(program=BENCHMARK)
    assert isinstance(built, BuiltKernel), str(built)
    small = parse_shape("64x64x128-E4-k2-float32")
    # 4.2 MFLOP: a thousandth of a second on anything that runs this, and not nothing.
    assert 1_000 < run_official(built.library, small, 1) < 10**9
