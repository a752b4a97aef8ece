import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from reference.oracle import ACTIVATIONS
from tests.correctness.kernels import ORDERS, Product, forward, small_layer
from validation.correctness.bounds import LAMBDA, PRECISIONS, SLOPES, certain, probable, sum_error
from validation.correctness.compare import compare
from validation.correctness.comparison import Criterion
from validation.correctness.expected import expect
from validation.workloads.layer import Layer

every_order = pytest.mark.parametrize("product", ORDERS.values(), ids=ORDERS)


@every_order
def test_an_honest_kernel_passes_with_a_wide_margin_in_any_order_of_summation(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    layer, x = small_layer()
    found = compare(expect(layer, x), forward(layer, x, product))
    assert found.worst is not None
    with capsys.disabled():
        sys.stdout.write(f" [error/bound {found.worst:.2g}: a margin of {1 / found.worst:.0f}] ")
    assert found.passed, found.message
    assert found.worst < 0.1


@every_order
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_an_honest_kernel_of_a_16_bit_layer_passes_with_a_margin(dtype: str, product: Product) -> None:
    layer, x = small_layer(dtype=dtype)
    found = compare(expect(layer, x), forward(layer, x, product))
    assert found.worst is not None
    assert found.passed, found.message
    assert found.worst < 0.5


@pytest.mark.parametrize("times", [1.5, 3.0, 10.0])
def test_a_single_element_wrong_by_a_few_bounds_is_found_and_named(times: float) -> None:
    layer, x = small_layer()
    expected = expect(layer, x)
    out = torch.from_numpy(expected.answers.output).float()
    out[7, 11] += times * float(expected.answers.bound[7, 11])
    found = compare(expected, out)
    assert Criterion.ELEMENTWISE in found.failed
    assert "token 7, element 11" in found.message


def test_a_wrong_element_within_the_bound_passes() -> None:
    layer, x = small_layer()
    expected = expect(layer, x)
    out = torch.from_numpy(expected.answers.output).float()
    out[7, 11] += 0.9 * float(expected.answers.bound[7, 11])
    assert compare(expected, out).passed


def test_every_element_near_its_bound_is_too_many_for_the_effective_bits() -> None:
    layer, x = small_layer()
    expected = expect(layer, x)
    out = torch.from_numpy(expected.answers.output + 0.9 * expected.answers.bound).float()
    assert compare(expected, out).failed == (Criterion.PER_TOKEN, Criterion.EFFECTIVE_BITS)


def test_one_dropped_term_of_the_second_matmul_exceeds_the_bound() -> None:
    layer, x = small_layer()
    w2 = layer.w2.clone()
    w2[:, -1] = 0
    found = compare(expect(layer, x), forward(replace(layer, w2=w2), x))
    assert found.worst is not None
    assert found.worst > 10


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_computed_in_16_bits_is_caught_by_effective_bits(dtype: torch.dtype) -> None:
    layer, x = small_layer()
    halved = Layer(
        config=layer.config,
        router_weight=layer.router_weight,
        w1=layer.w1.to(dtype).float(),
        w2=layer.w2.to(dtype).float(),
    )
    assert Criterion.EFFECTIVE_BITS in compare(expect(layer, x), forward(halved, x)).failed


@every_order
def test_constant_sums_stay_within_the_certain_limit(product: Product) -> None:
    """Adding 1/3 * 0.01 again and again rounds the same way through whole binades."""
    a, b = np.full((1, 8191), 1 / 3, np.float32), np.full((8191, 1), 0.01, np.float32)
    value = a.astype(np.float64) @ b
    bound = sum_error(value, value, 8191, 2.0**-24)
    assert np.abs(product(a, b) - value) <= bound.random + bound.coherent


def test_constant_sums_exceed_the_probable_limit_alone() -> None:
    """Why `probable` is not enough: sequential sums of one sign go beyond lambda sqrt(n) u."""
    n = 1 << 17
    a, b = np.full((1, n), 1 / 3, np.float32), np.full((n, 1), 0.01, np.float32)
    value = a.astype(np.float64) @ b
    error = np.abs(ORDERS["sequential"](a, b) - value)
    assert error > probable(n, 2.0**-24) * value
    assert error <= certain(n, 2.0**-24) * value


@pytest.mark.parametrize("n", [1, 3, 15, 16, 17, 100, 8192])
def test_the_probable_limit_never_exceeds_the_certain_one(n: int) -> None:
    u = PRECISIONS["float32"].accumulate
    assert probable(n, u) <= certain(n, u)
    assert probable(n, u) <= LAMBDA * np.sqrt(n) * u


@pytest.mark.parametrize("name", sorted(SLOPES))
def test_no_activation_is_steeper_than_its_slope(name: str) -> None:
    z = np.linspace(-12, 12, 2_000_001)
    steepest = np.abs(np.diff(ACTIVATIONS[name](z)) / np.diff(z)).max()
    assert steepest <= SLOPES[name] + 1e-9
    assert steepest > SLOPES[name] - 0.01


def test_a_sum_too_long_for_its_precision_has_no_certain_limit_and_still_a_probable_one() -> None:
    u = PRECISIONS["bfloat16"].store
    assert certain(256, u) == float("inf")
    assert probable(256, u) == LAMBDA * 16 * u
