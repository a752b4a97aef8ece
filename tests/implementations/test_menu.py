import pytest

from validation.implementations.implementation import Implementation
from validation.implementations.menu import BASELINES, MOJO, find_baseline
from validation.usage import UsageError


@pytest.mark.parametrize("one", [MOJO, *BASELINES.values()], ids=lambda one: one.name)
def test_every_entry_is_a_file_that_is_there(one: Implementation) -> None:
    assert one.source.is_absolute()
    assert one.source.is_file()


def test_the_candidate_is_not_trusted_and_every_baseline_is() -> None:
    assert not MOJO.trusted
    assert all(baseline.trusted for baseline in BASELINES.values())


def test_an_unknown_baseline_is_answered_with_the_close_ones() -> None:
    with pytest.raises(UsageError, match=r"no baseline is named 'numpy_groupd'\. Did you mean numpy_grouped"):
        find_baseline("numpy_groupd")


def test_a_slow_baseline_does_not_take_a_large_call() -> None:
    assert not BASELINES["python_lists"].takes(2e9, "float32", "cpu")
    assert BASELINES["numpy_grouped"].takes(2e12, "float32", "cpu")


def test_a_baseline_takes_only_its_dtypes_and_devices() -> None:
    assert not BASELINES["numpy_grouped"].takes(1.0, "bfloat16", "cpu")
    assert not BASELINES["torch_onednn_prepacked"].takes(1.0, "float32", "cuda")
