"""What a run measures does not depend on which baselines somebody chose to name."""

from pathlib import Path

import pytest

from validation.implementations.menu import ABLATIONS, BASELINES, PEERS
from validation.stages.ablations import chosen_ablations
from validation.stages.contest import measured_workloads
from validation.stages.peers import chosen_peers
from validation.stages.plan import RunPlan, RunRequest, plan_run
from validation.usage import UsageError
from validation.workloads.registry import find

CLAIM = """schema_version = 1
[[claims]]
id = "fast"
title = "fast"
quote = "2x"
source = "text.md:1"
provenance = "measured"
provenance_reason = "said"
[[claims.readings]]
id = "cpu"
strict = true
meaning = "against a weak baseline alone"
metric = "speedup"
requirement = { at_least = 2 }
workload = "seed-claim"
device = "cpu"
baseline = "BASELINE"
"""


def plan(folder: Path, baseline: str, profile: str = "standard", more: str = "") -> RunPlan:
    claims, kernel = folder / "claims.toml", folder / "kernel.py"
    claims.write_text(CLAIM.replace("BASELINE", baseline) + more)
    kernel.write_text("")
    return plan_run(
        RunRequest(
            profile="full" if profile == "full" else "standard",
            kernel=str(kernel),
            claims=(claims,),
            device="cpu",
            workloads=(),
            out=folder,
            resume=False,
        )
    )


@pytest.mark.parametrize("baseline", ["torch_per_token", "torch_dense", "numpy_grouped"])
def test_naming_a_weak_baseline_does_not_keep_the_strong_ones_away(tmp_path: Path, baseline: str) -> None:
    met = {one.name for one in plan(tmp_path, baseline).contests[0].baselines}
    fast = {one.name for one in BASELINES.values() if one.most_flops is None and "float32" in one.dtypes}
    assert fast | {baseline} <= met


def test_a_slow_baseline_that_nobody_names_is_left_out_and_listed(tmp_path: Path) -> None:
    found = plan(tmp_path, "numpy_grouped")
    assert "numpy_per_token" not in {one.name for one in found.contests[0].baselines}
    assert any(line.startswith("numpy_per_token on seed-claim") for line in found.left_out)


def test_a_slow_baseline_that_is_named_on_another_workload_is_left_out_and_listed(tmp_path: Path) -> None:
    reading = (
        CLAIM[CLAIM.index("[[claims.readings]]") :].replace('id = "cpu"', 'id = "quick"').replace("strict = true", "")
    )
    more = reading.replace("seed-claim", "seed-quick").replace("BASELINE", "cpp_scalar")
    found = plan(tmp_path, "numpy_grouped", more=more)
    assert [contest.workload.name for contest in found.contests] == ["seed-claim"]
    assert "cpp_scalar" not in {one.name for one in found.contests[0].baselines}
    assert any(line.startswith("cpp_scalar on seed-claim") for line in found.left_out)


def test_what_others_ship_is_met_or_told_to_be_left_out(tmp_path: Path) -> None:
    for profile in ("standard", "full"):
        found = plan(tmp_path, "numpy_grouped", profile)
        met = {one.name for one in found.contests[0].baselines}
        assert all(name in met or any(line.startswith(name) for line in found.left_out) for name in PEERS)
    assert PEERS.keys() - {"ggml_moe"} <= met


@pytest.mark.parametrize(
    ("shape", "takes"),
    [
        ("seed-claim", True),
        ("64x32x32-E8-k2-silu-float32", True),
        ("64x32x32-E8-k2-gelu-float32", False),
        ("64x32x32-E8-k2-silu-gated-float32", False),
        ("64x32x32-E8-k2-sigmoid-float32", False),
        ("8x4096x14336-E8-k2-float32", False),
        ("64x32x32-E8-k2-bfloat16", False),
    ],
)
def test_onnx_runtime_meets_what_its_operator_computes(shape: str, *, takes: bool) -> None:
    met, left_out = chosen_peers(find(shape), "cpu", "full")
    assert ("onnx_moe" in {one.name for one in met}) is takes
    assert takes or "bfloat16" in shape or any(line.startswith("onnx_moe") for line in left_out)


@pytest.mark.parametrize(
    ("shape", "takes"),
    [
        ("seed-claim", True),
        ("64x32x32-E8-k2-bfloat16", True),
        ("64x32x32-E8-k2-float16", False),
        ("64x32x32-E8-k2-silu-float32", False),
        ("64x32x32-E8-k2-bias-float32", False),
        ("64x32x32-E8-k2-sigmoid-float32", False),
    ],
)
def test_max_meets_what_is_built_over_its_matmul(shape: str, *, takes: bool) -> None:
    met, left_out = chosen_peers(find(shape), "cpu", "full")
    assert ("max_matmul" in {one.name for one in met}) is takes
    assert takes or "float16" in shape or any(line.startswith("max_matmul") for line in left_out)


def test_a_peer_that_is_not_installed_is_told_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    met, left_out = chosen_peers(find("seed-claim"), "cpu", "full")
    assert not {"ggml_moe", "max_matmul", "onnx_moe"} & {one.name for one in met}
    assert any("ggml is not installed (pip install ggml-python" in line for line in left_out)


@pytest.mark.parametrize(("profile", "measured"), [("smoke", 0), ("standard", 8), ("full", 10)])
def test_ablations_are_measured_or_told_to_be_left_out(profile: str, measured: int) -> None:
    met, left_out = chosen_ablations(find("seed-claim"), profile)
    assert len(met) == measured
    assert len(met) + len(left_out) == len(ABLATIONS)


def test_ablations_are_of_the_shape_whose_dimensions_are_compiled_in() -> None:
    assert chosen_ablations(find("seed-quick"), "full") == ((), ())


def test_a_kernel_that_was_brought_is_not_measured_against_parts_of_ours(tmp_path: Path) -> None:
    assert not {one.name for one in plan(tmp_path, "numpy_grouped", "full").contests[0].baselines if one.defines}


def test_the_full_profile_measures_the_slow_ones_too(tmp_path: Path) -> None:
    assert "numpy_per_token" in {one.name for one in plan(tmp_path, "numpy_grouped", "full").contests[0].baselines}


def test_a_baseline_that_would_leave_something_out_of_the_layer_is_left_out_and_listed(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.py"
    kernel.write_text("")
    planned = plan_run(
        RunRequest(
            profile="standard",
            kernel=str(kernel),
            claims=(),
            device="cpu",
            workloads=("64x32x32-E8-k2-sigmoid",),
            out=tmp_path,
            resume=False,
        )
    )
    met = {one.name for one in planned.contests[0].baselines}
    assert "torch_sorted" in met
    assert not met & {"cpp_packed", "numpy_as_published", "python_lists"}
    assert any("cpp_packed" in line and "computes the published layer alone" in line for line in planned.left_out)


@pytest.mark.parametrize(("gib", "why"), [(12, "9.0 GiB may be taken of this machine's memory"), (64, "")])
def test_a_layer_that_memory_does_not_hold_is_not_measured(monkeypatch: pytest.MonkeyPatch, gib: int, why: str) -> None:
    monkeypatch.setattr("validation.stages.contest.total_memory", lambda: gib << 30)
    monkeypatch.setattr("validation.stages.contest.thread_count", lambda: 2)
    layer = find("qwen3-t512")
    measured, left_out = measured_workloads("full", (layer,), (), "cpu")
    assert (len(measured), len(left_out)) == ((0, 1) if why else (1, 0))
    assert all(line.startswith("workload qwen3-t512 in bfloat16: at most " + why) for line in left_out)
    if why:
        with pytest.raises(UsageError, match=r"workload qwen3-t512: at most 9\.0 GiB"):
            measured_workloads("full", (), (layer,), "cpu")
