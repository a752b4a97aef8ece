"""Somebody else's kernel works unchanged through a ten-line adapter: Hugging Face's blocks, built from a config."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from validation.correctness.case import Outcome
from validation.correctness.spec import LayerVariant
from validation.correctness.survey import Standing
from validation.implementations.kernel_spec import parse_kernel
from validation.stages.examine import examine
from validation.stages.subject import Subject
from validation.workloads.registry import find

EXAMPLES: Final = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="needs the extra: pip install 'moe-validation[transformers]'"
)


@pytest.mark.parametrize(
    ("name", "workload", "offered"),
    [
        ("mixtral_block", "mixtral-t16", {"gelu", "relu"}),
        ("qwen3_moe_block", "qwen3-t32", {"gelu", "relu", "raw"}),
    ],
)
def test_a_block_of_transformers_passes_as_a_candidate(name: str, workload: str, offered: set[str]) -> None:
    layer = find(workload).layer
    subject = Subject(
        implementation=parse_kernel(str(EXAMPLES / f"{name}.py")),
        threads=2,
        base=LayerVariant.from_config(layer),
        dtype=layer.dtype,
    )

    found = examine(subject, "smoke", Console(quiet=True))

    assert [f"{case.id}: {case.message}" for case in found.cases if case.outcome is Outcome.FAILED] == []
    assert offered <= {offer.option for offer in found.offers if offer.standing is Standing.OFFERED}
    assert sum(case.outcome is Outcome.PASSED for case in found.cases) > 30
