import pytest

from validation.report.quantity import duration, quantity, significant, size
from validation.report.text import plain, printable


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1,230,000"), (0.0456, "0.0456"), (9.996, "10.0"), (0, "0"), (1, "1.00"), (-2.5, "-2.50")],
)
def test_three_digits_count(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("us", "text"), [(43.7, "43.7 µs"), (10_060, "10.1 ms"), (2.35e6, "2.35 s"), (0.04, "0.0400 µs")]
)
def test_a_time_is_told_in_its_own_unit(us: float, text: str) -> None:
    assert duration(us) == text


def test_a_share_is_told_in_percent() -> None:
    assert quantity("floor_share", 0.873) == "87.3 %"


def test_bytes_are_told_in_binary_units() -> None:
    assert size(24 << 30) == "24 GiB"


def test_characters_that_turn_text_around_are_shown() -> None:
    assert plain("a\u202eb\x00c") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_what_our_fonts_lack_is_printed_as_its_code_point() -> None:
    assert printable("go 🚀") == "go [U+1F680]"
