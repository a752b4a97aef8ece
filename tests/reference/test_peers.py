"""What others ship is right too, where it takes the layer, and declines the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.reference.loading import load
from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.implementations.menu import PEERS
from validation.implementations.process import Worker
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.shape import parse_shape

ONNX = PEERS["onnx_moe"]


@pytest.mark.parametrize(
    "shape",
    [
        "24x16x32-E4-k2",
        "0x16x32-E4-k2",
        "1x16x32-E64-k2",
        "33x17x33-E4-k4",
        "40x16x32-E8-k2-all_to_one",
        "70x64x128-E4-k2-silu-bias",
        "70x64x128-E4-k2-bias-raw",
    ],
)
def test_onnx_runtime_answers_as_the_oracle(shape: str) -> None:
    workload = parse_shape(f"{shape}-float32")
    layer = make_layer(workload.layer, workload.seed)
    x = draw_tokens(workload.layer, workload.tokens, workload.seed, workload.routing)
    out = torch.full_like(x, float("nan"))
    load(ONNX)(layer)(x, out)
    found = compare(expect(layer, x), out, None, None)
    assert found.passed, found.message


def test_onnx_runtime_with_one_expert_weight_changed_is_found_wrong() -> None:
    workload = parse_shape("24x16x32-E4-k2-float32")
    layer = make_layer(workload.layer)
    x = draw_tokens(workload.layer, workload.tokens)
    out, expected = torch.empty_like(x), expect(layer, x)
    layer.w2[1] *= 1.01
    load(ONNX)(layer)(x, out)
    assert not compare(expected, out, None, None).passed


@pytest.mark.parametrize("changed", [{"gated": True}, {"activation": "gelu"}])
def test_onnx_runtime_declines_what_its_operator_does_not_compute(changed: dict[str, object]) -> None:
    config = replace(parse_shape("4x16x32-E2-k1-float32").layer, **changed)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="ONNX Runtime's MoE computes relu and silu here, not gated"):
        load(ONNX)(make_layer(config))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(PEERS.keys() - {"onnx_moe"}))
def test_a_compiled_form_answers_as_the_oracle(name: str) -> None:
    # In a process of its own: compiling leaves warnings, threads and a gigabyte behind.
    workload = parse_shape("24x16x32-E4-k2-float32")
    layer = make_layer(workload.layer)
    with Worker(threads=1, trusted=True, environment=PEERS[name].environment) as worker:
        worker.load(PEERS[name])
        worker.prepare(layer)
        for call in range(2):
            x = draw_tokens(workload.layer, workload.tokens, call)
            output = worker.call(x)
            found = compare(expect(layer, x), output.out, output.ids, output.weights)
            assert found.passed, found.message
