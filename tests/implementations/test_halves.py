"""Float32 on the tensor cores: two halves of a number, each of 11 significant bits."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from validation.implementations.mojo_gpu.packing import halves

#: Of TF32's numbers the low 13 bits are not read.
UNREAD = 0x1FFF


def _halves(*values: float) -> tuple[torch.Tensor, torch.Tensor]:
    high, low = halves(torch.tensor(values)).chunk(2, -1)
    return high, low


@given(st.floats(2.0**-100, 2.0**100, width=32), st.sampled_from([1.0, -1.0]))
def test_both_halves_are_read_whole_and_lose_at_most_the_last_bit(size: float, sign: float) -> None:
    high, low = _halves(sign * size)
    assert not (high.view(torch.int32) & UNREAD).any()
    assert not (low.view(torch.int32) & UNREAD).any()
    # Cut off in place of rounded they lose up to three.
    last_bit = math.ulp(size) * 2.0**29
    assert abs(high.double().item() + low.double().item() - sign * size) <= last_bit


def test_what_is_lost_goes_either_way() -> None:
    numbers = 1 + torch.rand(4096, generator=torch.Generator().manual_seed(0))
    high, low = halves(numbers).chunk(2, -1)
    lost = high.double() + low.double() - numbers.double()
    assert 0.2 < (lost > 0).double().mean() / (lost != 0).double().mean() < 0.8


def test_infinity_nan_and_the_largest_number_stay() -> None:
    largest = torch.finfo(torch.float32).max
    high, low = _halves(math.inf, -math.inf, math.nan, largest)
    assert high[:2].tolist() == [math.inf, -math.inf]
    assert high[2].isnan()
    assert high[3].isfinite()
    assert low[3].isfinite()


def test_16_bits_stay_as_they_are() -> None:
    numbers = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    assert torch.equal(halves(numbers), numbers)
