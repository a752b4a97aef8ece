"""A layer read from a checkpoint is the model's layer, and what is wrong with a checkpoint is named."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from reference import oracle
from tests.workloads.models import DEEPSEEK, MIXTRAL, MODELS, QWEN3, Model, forward, write
from validation.correctness.oracle_layer import oracle_layer
from validation.usage import UsageError
from validation.workloads.checkpoint import Checkpoint, load_layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.config["model_type"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_layer_read_answers_as_the_models_own_code(tmp_path: Path, model: Model, dtype: str) -> None:
    checkpoint, tensors = write(tmp_path, model, getattr(torch, dtype))
    layer = load_layer(checkpoint)
    x = torch.randn(50, 32, generator=torch.Generator().manual_seed(3)).to(getattr(torch, dtype))
    answer = oracle.forward(x.double().numpy(), oracle_layer(layer)).output
    own = forward(model, tensors, x.double())
    assert torch.allclose(torch.from_numpy(answer), own, rtol=1e-9, atol=1e-12)


def test_the_options_are_the_models(tmp_path: Path) -> None:
    config = load_layer(write(tmp_path, DEEPSEEK, torch.bfloat16)[0]).config
    assert (config.router, config.n_groups, config.top_groups, config.routed_scaling) == ("sigmoid", 4, 2, 2.5)
    assert (config.correction_bias, config.shared_d_ff, config.float32_router) == (True, 2 * 24, True)
    assert not load_layer(write(tmp_path, QWEN3, torch.bfloat16)[0]).config.float32_router


def test_a_float32_router_beside_bfloat16_experts_stays_float32(tmp_path: Path) -> None:
    checkpoint, tensors = write(tmp_path, MIXTRAL, torch.bfloat16)
    tensors[f"{MIXTRAL.prefix}.gate.weight"] = torch.randn(8, 32)
    save_file(tensors, checkpoint.weights)
    layer = load_layer(checkpoint)
    assert layer.config.float32_router
    assert torch.equal(layer.router_weight.T, tensors[f"{MIXTRAL.prefix}.gate.weight"])


def test_a_layer_may_span_the_files_of_an_index(tmp_path: Path) -> None:
    checkpoint, tensors = write(tmp_path, MIXTRAL, torch.float32)
    whole = load_layer(checkpoint)
    parts = {f"part{number}.safetensors": dict(list(tensors.items())[number::2]) for number in range(2)}
    for name, part in parts.items():
        save_file(part, tmp_path / name)
    weight_map = {tensor: name for name, part in parts.items() for tensor in part}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    split = load_layer(Checkpoint(weights=index, prefix=checkpoint.prefix, config=checkpoint.config))
    assert torch.equal(split.w1, whole.w1)
    assert torch.equal(split.router_weight, whole.router_weight)


GATE, EXPERT = f"{MIXTRAL.prefix}.gate.weight", f"{MIXTRAL.prefix}.experts.3.w2.weight"

SPOILT: dict[str, Callable[[dict[str, Any], dict[str, torch.Tensor]], object]] = {
    f"must hold the tensor {EXPERT}; it does not": lambda _, tensors: tensors.pop(EXPERT),
    f"{EXPERT} must have shape [32, 24], by config.json; in ": lambda _, tensors: tensors.update(
        {EXPERT: torch.zeros(32, 25)}
    ),
    f"{GATE} must have shape [9, 32]": lambda config, _: config.update(num_local_experts=9),
    f"{EXPERT} must be float32, bfloat16 or float16; in ": lambda _, tensors: tensors.update(
        {EXPERT: torch.zeros(32, 24).to(torch.float8_e4m3fn)}
    ),
    f"{EXPERT} must be float32 as the layer's other experts": lambda _, tensors: tensors.update(
        {EXPERT: torch.zeros(32, 24).half()}
    ),
    "must be one of mixtral, qwen3_moe, deepseek_v3, whose tensors are known; got 'llama'": lambda config, _: (
        config.update(model_type="llama")
    ),
    "says that they are quantised (fp8)": lambda config, _: config.update(quantization_config={"quant_method": "fp8"}),
    "must give intermediate_size, a whole number; got None": lambda config, _: config.pop("intermediate_size"),
    "hidden_act in ": lambda config, _: config.update(hidden_act="xielu"),
    "top_k must not exceed n_experts = 8; got 9": lambda config, _: config.update(num_experts_per_tok=9),
}


@pytest.mark.parametrize("message", SPOILT)
def test_what_is_wrong_with_a_checkpoint_is_named(tmp_path: Path, message: str) -> None:
    checkpoint, tensors = write(tmp_path, MIXTRAL, torch.float32)
    config = dict(MIXTRAL.config)
    SPOILT[message](config, tensors)
    save_file(tensors, checkpoint.weights)
    checkpoint.config.write_text(json.dumps(config))
    with pytest.raises(UsageError, match=re.escape(message)):
        load_layer(checkpoint)


def test_another_router_of_the_same_model_is_refused(tmp_path: Path) -> None:
    checkpoint, _ = write(tmp_path, DEEPSEEK, torch.float32)
    checkpoint.config.write_text(json.dumps({**DEEPSEEK.config, "scoring_func": "softmax"}))
    with pytest.raises(UsageError, match="scoring_func of a DeepSeek-V3 layer must be 'sigmoid'"):
        load_layer(checkpoint)


def test_a_wrong_prefix_is_answered_with_those_there_are(tmp_path: Path) -> None:
    checkpoint, _ = write(tmp_path, MIXTRAL, torch.float32)
    wrong = Checkpoint(weights=checkpoint.weights, prefix="model.layers.7.mlp", config=checkpoint.config)
    with pytest.raises(UsageError, match=rf"--prefix must be one of {MIXTRAL.prefix}; got model\.layers\.7\.mlp"):
        load_layer(wrong)


@pytest.mark.parametrize("content", [None, b"", b"no tensors at all"], ids=["missing", "empty", "another kind"])
@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    checkpoint, _ = write(tmp_path, MIXTRAL, torch.float32)
    broken = tmp_path / f"broken.{name}"
    if content is not None:
        broken.write_bytes(content)
    with pytest.raises(UsageError, match=f"--layer must be a .safetensors file or its .index.json.*{name}"):
        load_layer(Checkpoint(weights=broken, prefix=checkpoint.prefix, config=checkpoint.config))


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    checkpoint, _ = write(tmp_path, MIXTRAL, torch.float32)
    broken = tmp_path / "broken.json"
    if content is not None:
        broken.write_text(content)
    with pytest.raises(UsageError, match=r"--config must be the model's config\.json.*broken\.json"):
        load_layer(Checkpoint(weights=checkpoint.weights, prefix=checkpoint.prefix, config=broken))
