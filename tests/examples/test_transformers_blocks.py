"""Somebody else's kernel works unchanged through a ten-line adapter: Hugging Face's blocks, built from a config."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from validation.correctness.case import Outcome
from validation.correctness.plan import brief_cases
from validation.correctness.spec import LayerVariant
from validation.correctness.suite import CaseSpec, plan_cases
from validation.implementations.kernel_spec import parse_kernel
from validation.stages.examine import SEED, examine
from validation.stages.subject import Subject
from validation.workloads.registry import find

EXAMPLES: Final = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="needs the extra: pip install 'moe-validation[transformers]'"
)


def _asked(base: LayerVariant, options: tuple[dict[str, object], ...], dtype: str) -> list[CaseSpec]:
    """Every check on the block's own layer, and a few cases of what it may be besides: the survey takes a minute."""
    besides = [replace(base, **option) for option in options]  # type: ignore[arg-type]
    return [*plan_cases("smoke", dtype, SEED, (base,)), *brief_cases(dtype, SEED, besides)]


@pytest.mark.parametrize(
    ("name", "workload", "options"),
    [
        ("mixtral_block", "mixtral-t16", ({"activation": "gelu"}, {"activation": "relu"})),
        ("qwen3_moe_block", "qwen3-t32", ({"activation": "gelu_tanh"}, {"renormalize": False})),
    ],
)
def test_a_block_of_transformers_passes_as_a_candidate(
    name: str, workload: str, options: tuple[dict[str, object], ...]
) -> None:
    layer = find(workload).layer
    base = LayerVariant.from_config(layer)
    kernel = parse_kernel(str(EXAMPLES / f"{name}.py"))
    subject = Subject(implementation=kernel, threads=1, base=base, dtype=layer.dtype)

    found = examine(subject, "smoke", Console(quiet=True), single=_asked(base, options, layer.dtype))

    assert [f"{case.id}: {case.message}" for case in found.cases if case.outcome is Outcome.FAILED] == []
    assert sum(case.outcome is Outcome.PASSED for case in found.cases) > 20


def test_a_block_with_an_experts_projections_exchanged_is_found_wrong(tmp_path: Path) -> None:
    source = (EXAMPLES / "mixtral_block.py").read_text()
    exchanged = source.replace("[layer.w_gate, layer.w1]", "[layer.w1, layer.w_gate]")
    assert exchanged != source
    (tmp_path / "exchanged.py").write_text(exchanged)
    layer = find("mixtral-t16").layer
    base = LayerVariant.from_config(layer)
    kernel = parse_kernel(str(tmp_path / "exchanged.py"))
    subject = Subject(implementation=kernel, threads=1, base=base, dtype=layer.dtype)

    found = examine(subject, "smoke", Console(quiet=True), single=brief_cases(layer.dtype, SEED, (base,)))

    assert Outcome.FAILED in {case.outcome for case in found.cases}
