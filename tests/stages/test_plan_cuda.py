"""What a run on a GPU plans, on a machine that only says it has one."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from validation.evidence.environment import Gpu
from validation.implementations.gpu_bundle import VARIABLE
from validation.implementations.mojo_gpu.bundle import EXTENSION, MANIFEST, RUNTIME, Manifest, file_sha256
from validation.stages import selection
from validation.stages.plan import RunPlan, RunRequest, plan_run
from validation.stages.selection import chosen_candidate, chosen_device
from validation.usage import UsageError

_H200 = Gpu(name="NVIDIA H200", memory_bytes=141 << 30, driver="580.159.04", compute_capability="9.0")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for name in (EXTENSION, *RUNTIME):
        (tmp_path / name).write_bytes(name.encode())
    files = {name: file_sha256(tmp_path / name) for name in (EXTENSION, *RUNTIME)}
    manifest = Manifest(
        target="sm_90a", compiler="Mojo", commit="abc", sources_sha256="", oldest_driver=580, files=files
    )
    (tmp_path / MANIFEST).write_text(json.dumps(asdict(manifest)))
    return tmp_path


@pytest.fixture(autouse=True)
def _h200(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "read_gpu", lambda: _H200)
    monkeypatch.delenv(VARIABLE, raising=False)


def plan(bundle: Path, *workloads: str) -> RunPlan:
    request = RunRequest(
        profile="standard",
        kernel=None,
        claims=(),
        device="cuda",
        bundle=bundle,
        workloads=workloads,
        out=bundle / "out",
        resume=False,
    )
    return plan_run(request)


def test_the_headline_on_a_gpu_is_in_the_tensor_cores_dtype_against_every_form_of_pytorch(bundle: Path) -> None:
    first = plan(bundle, "seed-claim").contests[0]
    assert (first.workload.layer.dtype, first.workload.layer.device) == ("bfloat16", "cuda")
    names = {one.name for one in first.baselines}
    assert {"torch_grouped_mm_graph", "torch_dense_graph", "torch_per_expert", "triton_fused", "mojo_eager"} <= names


def test_what_readings_compare_across_devices_runs_on_the_host_in_float32(bundle: Path) -> None:
    contests = plan(bundle, "seed-claim").contests
    hosts = [contest.host for contest in contests if contest.host is not None]
    assert len(hosts) == 1
    assert (hosts[0].workload.layer.dtype, hosts[0].workload.layer.device) == ("float32", "cpu")
    assert {"numpy_grouped", "numpy_per_token"} <= {one.name for one in hosts[0].baselines}


def test_both_forms_of_the_kernel_get_the_bundle(bundle: Path) -> None:
    planned = plan(bundle, "seed-claim")
    eager = next(one for one in planned.contests[0].baselines if one.name == "mojo_eager")
    assert planned.candidate.environment == eager.environment == ((VARIABLE, str(bundle.resolve())),)
    assert planned.candidate.graph
    assert not eager.graph


def test_a_real_model_is_measured_in_its_own_dtype(bundle: Path) -> None:
    (contest,) = plan(bundle, "qwen3-t32").contests
    assert contest.workload.layer.dtype == "bfloat16"
    assert contest.host is None


def test_energy_is_counted_of_the_candidate_and_of_what_it_is_compared_with(bundle: Path) -> None:
    assert plan(bundle, "seed-claim").energy == {"mojo", "torch_per_expert"}


def test_auto_is_the_gpu_once_a_bundle_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_device("auto") == "cpu"
    assert chosen_device("auto", bundle) == "cuda"
    monkeypatch.setenv(VARIABLE, str(bundle))
    assert chosen_device("auto") == "cuda"


def test_without_a_gpu_cuda_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "read_gpu", lambda: None)
    with pytest.raises(UsageError, match="needs an NVIDIA GPU"):
        chosen_device("cuda")


def test_a_bundle_beside_the_cpu_is_refused(bundle: Path) -> None:
    with pytest.raises(UsageError, match="--bundle is for a GPU"):
        chosen_device("cpu", bundle)


def test_a_kernel_of_yours_is_run_on_the_gpu_and_in_graphs_when_asked(tmp_path: Path) -> None:
    kernel = tmp_path / "mine.py"
    kernel.touch()
    found, built = chosen_candidate(str(kernel), "cuda", graph=True)
    assert (found.home, found.graph, built) == ("cuda", True, None)


def test_graphs_are_for_a_kernel_of_yours_on_a_gpu() -> None:
    with pytest.raises(UsageError, match="--graph is for a kernel of yours"):
        chosen_candidate(None, "cuda", graph=True)
