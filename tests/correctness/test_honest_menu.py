"""No honest kernel is ever rejected: every baseline, three kernels written differently, and the Mojo kernel.

A failing example's message ends with the line that runs exactly it again. `make honest` asks 300 examples per dtype.
"""

import os
from collections.abc import Callable
from typing import Any, Final

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.honest.menu import HONEST
from tests.reference.loading import load
from tests.strategies import cases
from validation.correctness.attempt import Run
from validation.correctness.case import Outcome
from validation.correctness.planted_faults import FOLDER
from validation.correctness.runner import in_process
from validation.correctness.spec import ALL_VARIANTS, PUBLISHED_VARIANTS, CaseSpec
from validation.correctness.suite import Candidate, check, find_case
from validation.implementations.implementation import Implementation
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.menu import BASELINES

_EXAMPLES: Final = int(os.environ.get("HONEST_EXAMPLES", "6"))

#: python_lists takes seconds where the others take milliseconds; a test of its own asks it small layers.
_MENU: Final[dict[str, Implementation]] = {
    **{name: baseline for name, baseline in BASELINES.items() if name != "python_lists"},
    **HONEST,
    "by_steps": parse_kernel(str(FOLDER / "by_steps.py")),
}

#: The kernels of the menu that take (x, out).
_FILLS: Final = {*BASELINES, "sorted_pairs"}


def _told(forward: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy baselines tell their routing as arrays; the worker makes tensors of them, and so does this."""

    def tensors(*arguments: torch.Tensor) -> Any:
        result = forward(*arguments)
        if not isinstance(result, tuple):
            return result
        return tuple(None if part is None else torch.as_tensor(part) for part in result)

    return tensors


def run_of(name: str) -> Run:
    fills = name in _FILLS
    prepare = load(_MENU[name])
    return in_process(lambda layer: _told(prepare(layer)), fills=fills)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", _MENU)
def test_an_honest_kernel_is_never_rejected(name: str, dtype: str) -> None:
    if dtype not in _MENU[name].dtypes and name in BASELINES:
        pytest.skip(f"{name} does not compute {dtype}")
    run, candidate = run_of(name), Candidate(name=name)
    variants = ALL_VARIANTS if name in BASELINES else PUBLISHED_VARIANTS

    @settings(max_examples=_EXAMPLES)
    @given(spec=cases(dtype, variants))
    def is_not_rejected(spec: CaseSpec) -> None:
        case = check(spec, run, candidate)
        declined = case.message.startswith("NotImplementedError: oneDNN takes float16 only")
        assert declined or case.outcome is not Outcome.FAILED, f"{case.message}\n{case.repro}"

    is_not_rejected()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        # The gate on effective bits allowed for ten roundings, and a sum over 256 experts is stored after every term.
        ("torch_per_token", "random:1x16x1-E256-k256-sigmoid-raw-bias-shared17-bfloat16"),
        ("torch_per_token", "random:1x16x1-E255-k255-sigmoid-float32_router-scaled2.5-float16-seed2"),
        # And where the experts' answers are of one sign and size, all those roundings go one way.
        ("torch_per_token", "constant_sign.positive:1x16x1-E128-k128-bfloat16"),
        ("torch_per_expert", "constant_sign.positive:1x16x1-E255-k255-bfloat16"),
        # Products and partial sums of them below float16's least normal number.
        ("torch_sorted", "scale.x-1w-1:1x10x1-E31-k31-silu-gated-float16"),
        # A sum of 60 equal terms.
        ("cpp_scalar", "exact_ties:1x1x1-E60-k60-float32"),
        # The one hidden unit is small by cancellation: of a sum, of 1 + tanh near -1, of what was stored.
        ("by_steps", "random:9x129x1-E1-k1-silu-gated-float32-seed101"),
        ("dense", "scale.x0w1:1x24x1-E1-k1-gelu_tanh-float32"),
        ("by_steps", "scale.x0w1:1x21x1-E1-k1-gelu_tanh-bfloat16-seed1"),
        ("by_steps", "scale.x0w1:6x22x1-E3-k1-gelu-gated-raw-float16-zipf"),
        ("loop_module", "scale.x0w1:6x22x1-E3-k1-gelu-gated-raw-float16-zipf"),
        # An expert that is not chosen overflows, and a dense kernel multiplies by 0.
        ("dense", "scale.x0w1:1x1x1-E6-k2-silu-gated-float16-zipf"),
        # PyTorch's bfloat16 matmul by AMX reads behind the end of a row, and multiplies by 0.
        ("torch_per_token", "strided.rows:17x34x2-E1-k1-silu-sigmoid-gated-correction_bias-shared40-bfloat16"),
    ],
)
def test_what_300_examples_found_is_not_rejected_any_more(name: str, found: str) -> None:
    case = check(find_case(found), run_of(name), Candidate(name=name))
    assert case.outcome is not Outcome.FAILED, case.message


@settings(max_examples=max(4, _EXAMPLES // 4))
@given(data=st.data())
def test_an_honest_kernel_breaking_one_step_is_rejected_on_ordinary_shapes(data: st.DataObject) -> None:
    """The examples can fail: one percent too large is found by almost any of them."""
    spec = data.draw(cases("float32").filter(lambda s: s.workload.layer.d_model >= 16 and s.workload.tokens > 0))
    run = in_process(load(parse_kernel(str(FOLDER / "by_steps.py"))), fills=False)
    off = lambda layer, x: (run(layer, x)[0] * 1.01, None, None)  # noqa: E731
    assert check(spec, off, Candidate(name="off")).outcome is not Outcome.PASSED
