from dataclasses import replace

import pytest
import torch

from tests.correctness.kernels import forward, small_layer
from validation.correctness.compare import compare
from validation.correctness.comparison import Criterion
from validation.correctness.expected import expect
from validation.workloads.layer import Layer


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_a_kernel_returning_zeros_fails_at_every_scale(dtype: str, scale: float) -> None:
    layer, x = small_layer(dtype=dtype)
    scaled = replace(layer, w2=(layer.w2.float() * scale).to(layer.w2.dtype))
    assert not compare(expect(scaled, x), torch.zeros_like(x)).passed


def test_a_case_that_zeros_would_pass_is_mistrusted() -> None:
    layer, x = small_layer()
    silent = replace(layer, w2=torch.zeros_like(layer.w2))
    found = compare(expect(silent, x), torch.zeros_like(x))
    assert found.passed
    assert found.mistrusted


def test_an_ordinary_case_is_not_mistrusted() -> None:
    layer, x = small_layer()
    assert compare(expect(layer, x), forward(layer, x)).mistrusted == ""


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_output_that_is_not_finite_fails(value: float) -> None:
    layer, x = small_layer()
    out = forward(layer, x)
    out[5, 3] = value
    found = compare(expect(layer, x), out)
    assert found.failed[0] is Criterion.FINITE
    assert found.worst is None
    assert "token 5, element 3" in found.message


def test_a_token_with_a_nan_must_not_be_answered_by_numbers() -> None:
    layer, x = small_layer()
    x[4, 0] = float("nan")
    expected = expect(layer, x)
    out = forward(layer, x.nan_to_num())
    assert "token 4" in compare(expected, out).message
    out[4] = float("nan")
    assert compare(expected, out).passed


def test_a_lost_token_is_named() -> None:
    layer, x = small_layer()
    out = forward(layer, x)
    out[9] = 0
    assert "token 9" in compare(expect(layer, x), out).message


def test_a_row_that_is_slightly_off_everywhere_fails_per_token() -> None:
    layer, x = small_layer(tokens=200)
    out = forward(layer, x)
    out[150] *= 1.00005
    found = compare(expect(layer, x), out)
    assert Criterion.PER_TOKEN in found.failed
    assert Criterion.EFFECTIVE_BITS not in found.failed


def test_a_wrong_shape_and_a_wrong_dtype_are_told_apart_from_wrong_numbers() -> None:
    layer, x = small_layer()
    expected, out = expect(layer, x), forward(layer, x)
    assert compare(expected, out[1:]).failed == (Criterion.SHAPE,)
    assert "got [24, 96] float64" in compare(expected, out.double()).message


def test_no_tokens_have_a_right_answer_too() -> None:
    layer, x = small_layer(tokens=0)
    assert compare(expect(layer, x), torch.empty(0, 96)).passed


def test_effective_bits_are_about_those_of_float32() -> None:
    layer, x = small_layer()
    bits = compare(expect(layer, x), forward(layer, x)).effective_bits
    assert bits is not None
    assert 19 < bits < 24


def test_a_token_that_overflows_float16_on_the_way_is_excused_and_many_make_the_case_mistrusted() -> None:
    layer, x = small_layer(dtype="float16")
    layer = replace(layer, w1=layer.w1 * 8)
    x[2] = (x[2] * 10_000).clamp(-60_000, 60_000)
    out = forward(layer, x)
    out[2] = float("inf")
    one = compare(expect(layer, x), out)
    assert one.passed, one.message
    x[2:8] = x[2]
    out[2:8] = float("inf")
    assert "6 of 24 tokens may overflow" in compare(expect(layer, x), out).mistrusted


@pytest.mark.parametrize("experts", [16, 64, 200])
def test_a_sum_of_alike_terms_may_round_one_way_but_no_further(experts: int) -> None:
    layer, x = small_layer(dtype="bfloat16", n_experts=experts, top_k=experts)
    alike = replace(
        layer,
        router_weight=torch.zeros_like(layer.router_weight),
        w1=layer.w1[:1].expand_as(layer.w1).contiguous(),
        w2=layer.w2[:1].abs().expand_as(layer.w2).contiguous(),
    )
    term = torch.relu(x @ alike.w1[0]) @ alike.w2[0]
    total = torch.zeros_like(x)
    for _expert in range(experts):
        total += term * (1 / experts)
    expected = expect(alike, x)
    assert compare(expected, total).passed
    # Larger by what the k roundings come to, twice over: k s / 3.
    off = 1 + 2 * experts * 2**-8 / 3
    assert Criterion.EFFECTIVE_BITS in compare(expected, (expected_output(alike, x) * off).to(x.dtype)).failed


def expected_output(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(expect(layer, x).answers.output)
