"""Every cheat of a GPU is caught there by the gate that ought to, and the honest kernel they are made from by none."""

import pytest
import torch

from tests.cheats_gpu.catalogue import CHEATS, FOLDER
from tests.cheats_gpu.on_gpu import failed_gates


def test_every_cheat_in_the_folder_has_its_gate() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"honest_layer"} == set(CHEATS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU; records/ holds what it found on one")
@pytest.mark.parametrize("name", sorted(CHEATS))
def test_a_cheat_is_caught_by_the_gate_that_ought_to(name: str) -> None:
    failed = failed_gates(name)
    assert CHEATS[name] in failed, failed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU; records/ holds what it found on one")
def test_the_kernel_the_cheats_are_made_from_passes_every_gate() -> None:
    assert failed_gates("honest_layer") == {}
