"""A kernel that remembers while it is timed is found by its timed calls alone, whatever it shows to who looks at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests import synthetic
from tests.implementations.kernels import kernel
from validation.performance import series as timed
from validation.performance.measure import Measurement, measure
from validation.performance.profile import Profile
from validation.performance.sample import probe_rule
from validation.stages.ground import ground
from validation.verdicts.unseen import knows_tokens
from validation.workloads.layer import LayerConfig
from validation.workloads.workload import Workload

if TYPE_CHECKING:
    from validation.performance.sample import ProcessRun

CHEATS: Final = Path(__file__).parents[2] / "planted" / "cheats"

KERNEL: Final = """
import sys
sys.path.append({cheats!r})
from {module} import prepare
"""

#: A call of 2 ms that a memory answers in 0.4; every row of the bank comes in the first two.
WORKLOAD: Final = Workload(name="seed-claim", tokens=512, layer=LayerConfig(d_model=64, d_ff=512, n_experts=2, top_k=2))
PROFILE: Final = Profile(name="test", pairs=3, least_calls=10, budget_s=0.02, warm_s=0.01)


def processes(tmp_path: Path, module: str) -> tuple[ProcessRun, ...]:
    candidate = kernel(tmp_path, KERNEL.format(cheats=str(CHEATS), module=module), "mine")
    with ground(WORKLOAD) as on:
        measurement = Measurement(
            bank=on.bank,
            layer=on.layer,
            candidate=candidate,
            baselines=(),
            profile=PROFILE,
            threads=1,
            seed=1,
            probe=lambda: 1.0,
            check=on.check,
            unseen=on.unseen,
        )
        return tuple(measure(measurement))


@pytest.mark.parametrize(("module", "found"), [("memo_by_row", True), ("honest_layer", False)])
def test_who_remembers_is_found_and_no_other(
    module: str,
    found: bool,  # noqa: FBT001 -- a parameter of the test
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Other tests have the cores meanwhile.
    monkeypatch.setattr(timed, "others_share", lambda *_arguments: 0.0)
    made = processes(tmp_path, module)
    blocks = [block for process in made for one in process.series for block in one.blocks]
    assert blocks
    assert not any(process.ended for process in made)
    assert not any(block.outputs_wrong for block in blocks)
    evidence = synthetic.evidence().model_copy(update={"processes": made, "probe": probe_rule(made)})
    assert bool(knows_tokens(evidence, "mine")) is found
