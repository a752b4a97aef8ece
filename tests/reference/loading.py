"""Baselines called as the worker calls them, in this process."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
import torch

from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.workloads.inputs import draw_tokens, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.correctness.comparison import Comparison
    from validation.implementations.implementation import Implementation
    from validation.workloads.layer import Layer
    from validation.workloads.workload import Workload


def load(implementation: Implementation) -> Callable[[Layer], Callable[..., tuple[Any, ...]]]:
    """Returns `prepare` of an implementation's file."""
    spec = importlib.util.spec_from_file_location(f"reference_{implementation.name}", implementation.source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    prepare: Callable[[Layer], Callable[..., tuple[Any, ...]]] = getattr(module, implementation.function)
    return prepare


def judge(implementation: Implementation, workload: Workload) -> Comparison:
    """Compares one call with the oracle, the routing it returns included; `out` is poisoned with NaN before.

    A layer that `prepare` declines on this CPU, as oneDNN declines a dtype without instructions for it, skips the test;
    answers are never excused.
    """
    layer = make_layer(workload.layer, workload.seed)
    x = draw_tokens(workload.layer, workload.tokens, workload.seed, workload.routing)
    before = x.clone()
    out = torch.full_like(x, float("nan"))
    try:
        forward = load(implementation)(layer)
    except NotImplementedError as declined:
        pytest.skip(str(declined))
    _, ids, weights = forward(x, out)
    assert torch.equal(x, before)
    return compare(expect(layer, x), out, torch.as_tensor(ids), torch.as_tensor(weights))
