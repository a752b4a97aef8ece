"""What others ship is right too, where it takes the layer, and declines the rest."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from tests.reference.loading import judge, load
from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.implementations.menu import PEERS
from validation.implementations.process import Worker
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.shape import parse_shape

if TYPE_CHECKING:
    from validation.implementations.implementation import Implementation

ONNX = PEERS["onnx_moe"]
#: Whichever test comes first compiles it, in a minute or, on a busy machine, in many.
MAX = pytest.param(PEERS["max_matmul"], marks=[pytest.mark.xdist_group("max"), pytest.mark.timeout(1200)])
GGML = pytest.param(
    PEERS["ggml_moe"],
    marks=pytest.mark.skipif(
        importlib.util.find_spec("ggml") is None,
        reason="ggml is not installed: pip install -c constraints.txt ggml-python",
    ),
)
#: As many tokens as threads and fewer, experts without any, and dimensions that fill neither a vector nor a tile.
PLAIN = (
    "24x16x32-E4-k2",
    "0x16x32-E4-k2",
    "1x16x32-E64-k2",
    "33x17x33-E4-k4",
    "40x16x32-E8-k2-all_to_one",
    "9x70x130-E4-k1",
)


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [*PLAIN, "70x64x128-E4-k2-raw", "130x256x1024-E4-k2"])
@pytest.mark.parametrize("peer", [MAX])
def test_max_answers_as_the_oracle(peer: Implementation, shape: str, dtype: str) -> None:
    found = judge(peer, parse_shape(f"{shape}-{dtype}"))
    assert found.passed, found.message


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("shape", [*PLAIN, "70x64x128-E4-k2-silu-bias", "70x64x128-E4-k2-gelu-gated-raw"])
@pytest.mark.parametrize("peer", [GGML])
def test_llama_cpp_answers_as_the_oracle(peer: Implementation, shape: str, dtype: str) -> None:
    workload = parse_shape(f"{shape}-{dtype}")
    layer = make_layer(workload.layer, workload.seed)
    forward = load(peer)(layer)
    for call in range(2):  # the second with the first one's graph, on other memory
        x = draw_tokens(workload.layer, workload.tokens, call, workload.routing)
        out = torch.full_like(x, float("nan"))
        forward(x, out)
        found = compare(expect(layer, x), out, None, None)
        assert found.passed, found.message


@pytest.mark.parametrize("peer", [ONNX, GGML, MAX])
def test_a_peer_with_one_expert_weight_changed_is_found_wrong(peer: Implementation) -> None:
    workload = parse_shape("24x16x32-E4-k2-float32")
    layer = make_layer(workload.layer)
    x = draw_tokens(workload.layer, workload.tokens)
    out, expected = torch.empty_like(x), expect(layer, x)
    layer.w2[1] *= 1.01
    load(peer)(layer)(x, out)
    assert not compare(expected, out, None, None).passed


@pytest.mark.parametrize(
    ("peer", "changed", "said"),
    [
        (ONNX, {"gated": True}, "ONNX Runtime's MoE computes relu and silu here, not gated"),
        (ONNX, {"activation": "gelu"}, "ONNX Runtime's MoE computes relu and silu here, not gated"),
        pytest.param(*MAX.values, {"gated": True, "dtype": "float16"}, "a gate and float16", marks=MAX.marks),
        pytest.param(*MAX.values, {"bias": True}, "biases", marks=MAX.marks),
        pytest.param(*MAX.values, {"shared_d_ff": 8}, "a shared expert", marks=MAX.marks),
        pytest.param(*GGML.values, {"routed_scaling": 2.0}, "a scaled routing", marks=GGML.marks),
        pytest.param(*GGML.values, {"router": "sigmoid"}, "a sigmoid router", marks=GGML.marks),
    ],
)
def test_a_peer_declines_what_it_does_not_compute(peer: Implementation, changed: dict[str, object], said: str) -> None:
    config = replace(parse_shape("4x16x32-E2-k1-float32").layer, **changed)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match=said):
        load(peer)(make_layer(config))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(name for name in PEERS if name.endswith("_compiled")))
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
