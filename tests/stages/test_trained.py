"""A trained layer is checked and planned for under its own name, on its own weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from tests.reference.loading import load
from tests.workloads.models import MIXTRAL, write
from validation.correctness.runner import in_process
from validation.correctness.suite import Candidate
from validation.correctness.trained import TOKENS, check_trained
from validation.implementations.menu import BASELINES
from validation.stages.plan import RunRequest, plan_run
from validation.stages.trained import Trained
from validation.usage import UsageError
from validation.workloads.checkpoint import load_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer


def trained(folder: Path, tokens: int = 40) -> Trained:
    checkpoint, _ = write(folder, MIXTRAL, torch.float32)
    found = Trained.of(checkpoint.weights, checkpoint.prefix, checkpoint.config, tokens)
    assert found is not None
    return found


def test_without_any_of_its_options_there_is_no_trained_layer() -> None:
    assert Trained.of(None, None, None, 256) is None


def test_a_missing_option_is_named() -> None:
    with pytest.raises(UsageError, match="missing: --prefix, --config"):
        Trained.of(Path("model.safetensors"), None, None, 256)


def test_no_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="--tokens must be at least 1; got 0"):
        Trained.of(Path("model.safetensors"), "layer", Path("config.json"), 0)


def test_its_workload_is_named_by_prefix_and_file_and_its_weights_by_their_hash(tmp_path: Path) -> None:
    loaded = trained(tmp_path).load()
    assert loaded.workload.name == f"{MIXTRAL.prefix}@model.safetensors"
    assert loaded.workload.tokens == 40
    assert "SHA-256" in loaded.note


def test_a_run_measures_the_trained_layer_and_nothing_else(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.py"
    kernel.write_text("")
    request = RunRequest(
        profile="smoke",
        kernel=str(kernel),
        claims=(),
        device="cpu",
        workloads=(),
        out=tmp_path,
        resume=False,
        trained=trained(tmp_path),
    )
    planned = plan_run(request)
    (contest,) = planned.contests
    assert contest.workload.name == f"{MIXTRAL.prefix}@model.safetensors"
    assert contest.layer is not None
    assert torch.equal(contest.layer.w1, load_layer(trained(tmp_path).checkpoint).w1)
    assert any("SHA-256" in note for note in planned.notes)


def test_cases_on_trained_weights_pass_an_honest_kernel(tmp_path: Path) -> None:
    layer = trained(tmp_path).load().layer
    cases = list(
        check_trained(layer, 200, in_process(load(BASELINES["torch_sorted"])), Candidate(name="honest", repro="again"))
    )
    assert [case.outcome for case in cases] == ["passed"] * (len(TOKENS) + 1)
    assert {case.repro for case in cases} == {"again"}


def test_cases_on_trained_weights_catch_one_expert_of_other_weights(tmp_path: Path) -> None:
    layer = trained(tmp_path).load().layer

    def wrong(given: Layer) -> Callable[..., object]:
        w2 = given.w2.clone()
        w2[5] *= 1.01
        return load(BASELINES["torch_sorted"])(replace(given, w2=w2))

    cases = list(check_trained(layer, 200, in_process(wrong), Candidate(name="wrong")))
    assert cases[-1].outcome == "failed"
