"""The Triton baseline, where Triton is installed, by its interpreter: it needs no GPU.

bfloat16 is left to a GPU: the interpreter keeps it as plain 16-bit words and does not compute with it.
"""

import pytest

from tests.reference.loading import judge
from validation.implementations.menu_cuda import GPU_FORMS
from validation.workloads.shape import parse_shape

_SHAPES = (
    "0x16x32-E4-k2",
    "1x16x32-E64-k2",
    "33x16x32-E4-k4",
    "40x16x32-E8-k2-all_to_one",
    "70x64x128-E4-k2-gelu-bias-raw",
    "300x48x72-E4-k2-silu-gated-bias",
)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", _SHAPES)
def test_the_triton_baseline_answers_as_the_oracle(shape: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip("triton", reason="Triton comes with PyTorch's CUDA build only")
    comparison = judge(GPU_FORMS["triton_fused"], parse_shape(f"{shape}-{dtype}"))
    assert comparison.passed, comparison.message
