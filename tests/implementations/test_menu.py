import pytest

from validation.implementations import implementation
from validation.implementations.implementation import Implementation
from validation.implementations.menu import BASELINES, MOJO, find_baseline
from validation.implementations.menu_cuda import GPU_FORMS, MOJO_CUDA, MOJO_EAGER, baselines_on
from validation.implementations.multiplied import multiplied
from validation.usage import UsageError


@pytest.mark.parametrize("one", [MOJO, MOJO_CUDA, *BASELINES.values(), *GPU_FORMS.values()], ids=lambda one: one.name)
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


def test_a_gpu_has_every_form_of_pytorch_and_no_numpy() -> None:
    names = {one.name for one in baselines_on("cuda")}
    assert {"torch_grouped_mm", "torch_grouped_mm_graph", "torch_grouped_mm_compiled", "triton_fused_graph"} <= names
    assert not any(name.startswith(("numpy", "cpp", "python")) for name in names)


def test_a_cpu_has_no_form_that_needs_a_gpu() -> None:
    assert {one.name for one in baselines_on("cpu")} == set(BASELINES)


def test_the_eager_form_of_the_kernel_is_of_its_family_and_so_never_its_strongest_baseline() -> None:
    assert MOJO_EAGER.family == MOJO_CUDA.family


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_where_pytorch_multiplies_one_by_one_it_takes_no_large_call(
    monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(implementation, "multiplied", lambda dtype: dtype == "float32")
    for name in ("torch_per_expert", "torch_sorted", "torch_grouped_mm"):
        assert BASELINES[name].takes(2.2e9, dtype, "cpu")
        assert not BASELINES[name].takes(7e10, dtype, "cpu")
        assert BASELINES[name].takes(7e10, "float32", "cpu")
        assert BASELINES[name].takes(7e10, dtype, "cuda")
        assert "no instructions" in BASELINES[name].too_slow(7e10, dtype)
        assert "no instructions" not in BASELINES[name].too_slow(7e10, "float32")
    # It packs for such instructions alone; and all experts are computed.
    assert not BASELINES["torch_onednn_prepacked"].takes(1.0, "bfloat16", "cpu")
    assert not BASELINES["torch_dense"].takes(2.2e9, dtype, "cpu")
    monkeypatch.setattr(implementation, "multiplied", lambda _dtype: True)
    assert BASELINES["torch_dense"].takes(7e10, dtype, "cpu")


def test_float32_is_multiplied_everywhere() -> None:
    assert multiplied("float32")
    assert isinstance(multiplied("bfloat16"), bool)
