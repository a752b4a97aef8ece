from pathlib import Path

import pytest

from validation.implementations.kernel_spec import parse_kernel
from validation.stages.pace import fitting
from validation.stages.subject import Subject
from validation.workloads.registry import find

KERNEL = """
import time

def prepare(layer):
    def forward(x):
        time.sleep(0.004 * len(x) if {when} else 0)
        return x.clone()
    return forward
"""


@pytest.mark.parametrize(
    ("when", "tokens"),
    [("False", 1024), ("True", 4), ("len(x) < 1024", 1024)],
    ids=["fast", "slow", "slow on few tokens alone"],
)
def test_a_slow_kernel_is_looked_at_on_a_few_tokens_and_none_hides_behind_that(
    when: str, tokens: int, tmp_path: Path
) -> None:
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL.format(when=when))
    subject = Subject(implementation=parse_kernel(str(path)), threads=1)
    assert fitting(subject, find("1024x64x64-E4-k2-float32")).tokens == tokens
