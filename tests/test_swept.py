"""How planted kernels are tried by the command line, and what counts as caught."""

from pathlib import Path

import pytest

from tests.swept import KERNELS, command, judged, named, required
from validation.correctness.planted_faults import FAULTS


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("zeros", {"any_input"}),
        ("bf16_for_f16", {"any_input", "--workload", "256x128x512-E4-k2-float16"}),
        ("highest_id_wins", {"any_input", "lowest_id_wins"}),
        ("missing_b2", {"any_input", "bias", "router_bias"}),
        ("gate_on_wrong_branch", {"any_input", "gated", "silu"}),
        ("renormalised_always", {"any_input", "raw"}),
    ],
)
def test_a_fault_is_held_to_what_it_does_wrong(name: str, options: set[str]) -> None:
    assert set(required(FAULTS[name])) - {"--require"} == options


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_planted_kernel_has_a_command(kernel: str, tmp_path: Path) -> None:
    words = command(kernel, tmp_path)
    assert Path(words[words.index("--kernel") + 1]).is_file()
    # Beside a cheat lies the honest kernel that it is made from.
    assert (tmp_path / "honest_layer.py").is_file() is kernel.startswith("cheats/")


def test_only_the_check_that_ought_to_catch_a_fault_counts() -> None:
    case = {"check": "nonfinite", "outcome": "failed", "message": "finite: token 3"}
    assert named("faults/nan_spreads", {"cases": [case], "gates": []}) == "finite: token 3"
    for other in ({"check": "random"}, {"outcome": "passed"}, {"message": "elementwise: token 3"}):
        assert named("faults/nan_spreads", {"cases": [{**case, **other}], "gates": []}) == ""


def test_only_the_gate_that_ought_to_catch_a_cheat_counts() -> None:
    gate = {"gate": "keeps_to_itself", "outcome": "failed", "message": "os.fork"}
    assert named("cheats/forks", {"cases": [], "gates": [gate]}) == "os.fork"
    assert named("cheats/keeps_warm", {"cases": [], "gates": [gate]}) == ""
    assert named("cheats/honest_layer", {"cases": [], "gates": [gate]}) == ""


@pytest.mark.parametrize(
    ("kernel", "code", "failed", "fared"),
    [
        ("cheats/forks", 1, {"gate": "keeps_to_itself", "message": "os.fork"}, (True, "as planted")),
        ("cheats/forks", 1, {"id": "random:1x1x1-E1-k1-float32", "message": "finite"}, (True, "another")),
        ("cheats/forks", 0, None, (False, "")),
        # An exit of 1 that names nothing catches nobody.
        ("cheats/forks", 1, None, (False, "")),
        ("cheats/honest_layer", 0, None, (True, "")),
        ("cheats/honest_layer", 1, {"gate": "clocks_agree", "message": "x"}, (False, "another")),
        ("faults/by_steps", 1, {"id": "random:1x1x1-E1-k1-float32", "message": "finite"}, (False, "another")),
    ],
)
def test_what_ought_to_become_of_a_kernel(
    kernel: str, code: int, failed: dict[str, str] | None, fared: tuple[bool, str]
) -> None:
    one = [] if failed is None else [{"outcome": "failed", **failed}]
    document = {"cases": [case for case in one if "id" in case], "gates": [gate for gate in one if "gate" in gate]}
    found = judged(kernel, code, document)
    assert (found["right"], found["by"]) == fared
