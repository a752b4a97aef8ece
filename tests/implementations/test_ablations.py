"""The kernel without one technique is the same kernel: as right, and without just that."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
import torch
from rich.console import Console

from validation.correctness.case import Outcome
from validation.implementations.menu import ABLATIONS
from validation.implementations.process import Worker
from validation.stages.ablations import built_ablations
from validation.stages.examine import examine
from validation.stages.subject import Subject
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.shape import parse_shape

if TYPE_CHECKING:
    from pathlib import Path

    from validation.implementations.implementation import Implementation
    from validation.implementations.mojo_build import BuiltKernel

# One worker builds them all; without the group each of two did, a minute of both cores more.
pytestmark = [pytest.mark.usefixtures("answered_once"), pytest.mark.xdist_group("ablations")]

every_ablation = pytest.mark.parametrize("name", ABLATIONS)

#: Arithmetic on more than one float32 at a time, as objdump spells it.
_PACKED: Final = re.compile(r"vf\w+ps|v(?:add|mul|sub|dpbf16)ps")


@pytest.fixture(scope="module")
def built() -> dict[str, BuiltKernel]:
    """Every ablation's library; compiled side by side when sources changed, about a minute."""
    return {name: library for name, (_one, library) in built_ablations(tuple(ABLATIONS.values()), "float32").items()}


def ready(name: str, built: dict[str, BuiltKernel]) -> Implementation:
    return replace(ABLATIONS[name], environment=(("MOE_KERNEL_LIBRARY", str(built[name].library)),))


def instructions(library: Path, function: str) -> list[str]:
    """The mnemonics of every function whose name holds `function`."""
    told = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(library)], capture_output=True, text=True, check=True
    )
    found, inside = [], False
    for line in told.stdout.splitlines():
        if line.endswith(">:"):
            inside = function in line
        elif inside and "\t" in line:
            found.append(line.split("\t")[-1].split()[0])
    return found


# What knows its dimensions declines all others: the next test asks it.
@pytest.mark.parametrize("name", sorted(ABLATIONS.keys() - {"mojo_comptime_dims"}))
@pytest.mark.timeout(300)
def test_an_ablation_passes_the_checks_of_the_kernel(name: str, built: dict[str, BuiltKernel]) -> None:
    subject = Subject(implementation=ready(name, built), threads=2)
    cases = examine(subject, "smoke", Console(quiet=True)).cases
    assert not [case.message for case in cases if case.outcome is Outcome.FAILED]
    assert Outcome.PASSED in {case.outcome for case in cases}


@every_ablation
@pytest.mark.timeout(300)
def test_an_ablation_computes_the_published_shape_as_the_kernel_does(name: str, built: dict[str, BuiltKernel]) -> None:
    workload = parse_shape("40x256x1024-E4-k2-float32")
    layer, x = make_layer(workload.layer), draw_tokens(workload.layer, workload.tokens)
    with Worker(threads=2, trusted=True) as worker:
        outputs = []
        # In one process, as a run has them: each must find its own library.
        for one in ("mojo_runtime_dims", name):
            worker.load(ready(one, built))
            worker.prepare(layer)
            outputs.append(worker.call(x).out)
    # Every element is summed in the same order whatever the tile, so the bits agree.
    assert torch.equal(*outputs)


def test_the_scalar_ablations_multiply_one_number_at_a_time(built: dict[str, BuiltKernel]) -> None:
    for name in ("mojo_scalar", "mojo_scalar_dot", "mojo_scalar_strided"):
        found = instructions(built[name].library, "tile::")
        assert any(one.startswith("vfmadd") and one.endswith("ss") for one in found), name
        assert not [one for one in found if _PACKED.fullmatch(one)], name


def test_packed_arithmetic_would_be_found(built: dict[str, BuiltKernel]) -> None:
    found = instructions(built["mojo_runtime_dims"].library, "tile::")
    assert [one for one in found if _PACKED.fullmatch(one)]


def test_compiled_dimensions_decline_other_layers(built: dict[str, BuiltKernel]) -> None:
    layer = make_layer(parse_shape("4x64x128-E4-k2-float32").layer)
    with Worker(threads=1, trusted=True) as worker:
        worker.load(ready("mojo_comptime_dims", built))
        with pytest.raises(Exception, match="compiled for d_model 256 and d_ff 1024 alone; got 64 and 128"):
            worker.prepare(layer)


def test_a_build_for_one_dtype_declines_the_others(built: dict[str, BuiltKernel]) -> None:
    with Worker(threads=1, trusted=True) as worker:
        worker.load(ready("mojo_unpacked", built))
        with pytest.raises(Exception, match="compiled without bfloat16"):
            worker.prepare(make_layer(parse_shape("4x64x128-E4-k2-bfloat16").layer))


def test_no_two_ablations_are_the_same_build() -> None:
    assert len({one.defines for one in ABLATIONS.values()}) == len(ABLATIONS)
