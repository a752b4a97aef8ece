import pytest

from tests.report.builders import finding
from validation.report.quantity import measured, metric_words, quantity, required
from validation.report.text import plain, printable
from validation.verdicts.units import duration, significant, size


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


@pytest.mark.parametrize(
    ("metric", "baseline", "value", "text"),
    [
        ("floor_share", None, 0.873, "87.3 %"),
        ("bandwidth_share", None, 0.873, "87.3 %"),
        ("p99_latency_us", None, 47_000, "47.0 ms"),
        ("figure:demo-s", None, 101.5, "102 s"),
        ("figure:call-overhead-share", None, 0.004, "0.400 %"),
        ("figure:energy-per-call-j", None, 0.25, "0.250 J"),
        ("figure:energy-per-call-j", "numpy_grouped", 7.4, "7.40×"),
        ("figure:official-benchmark-ratio", None, 1.02, "1.02×"),
        ("holds", None, 1, "holds"),
    ],
)
def test_every_metric_is_told_with_its_unit(metric: str, baseline: str | None, value: float, text: str) -> None:
    assert quantity(finding(metric, baseline), value) == text


@pytest.mark.parametrize(
    ("metric", "baseline", "value", "text"),
    [
        ("figure:run-s", None, 300, "at most 300 s"),
        ("figure:call-overhead-share", None, 0.01, "at most 1 %"),
        ("p50_latency_us", None, 47_370, "at most 47.37 ms"),
    ],
)
def test_a_requirement_keeps_the_published_digits(metric: str, baseline: str | None, value: float, text: str) -> None:
    asked = finding(metric, baseline).model_copy(update={"required": value, "comparison": "at_most"})
    assert required(asked) == text


def test_an_interval_is_told_in_the_unit_of_its_estimate() -> None:
    seen = finding("figure:demo-s", None).model_copy(update={"estimate": 0.0305, "interval": (0.0301, 0.0310)})
    assert measured(seen) == "30.5 ms [30.1, 31.0]"


def test_what_too_few_pairs_gave_is_told_with_their_number() -> None:
    seen = finding("speedup", "numpy_grouped").model_copy(update={"estimate": 1.89, "interval": None, "pairs": 2})
    assert measured(seen) == "1.89× (2 pairs)"


def test_a_metric_is_named_in_words() -> None:
    assert metric_words(finding("figure:energy-per-call-j", "numpy_grouped")) == "ratio of energy per call"
    assert metric_words(finding("p95_latency_us", None)) == "p95 of the time of one call"


def test_bytes_are_told_in_binary_units() -> None:
    assert size(24 << 30) == "24 GiB"


def test_characters_that_turn_text_around_are_shown() -> None:
    assert plain("a\u202eb\x00c") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_what_our_fonts_lack_is_printed_as_its_code_point() -> None:
    assert printable("go 🚀") == "go [U+1F680]"
