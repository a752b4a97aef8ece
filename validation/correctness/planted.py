"""Tries the planted kernels: how many of the broken and of the dishonest ones does this build catch?"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from validation.correctness import planted_cheats, planted_faults
from validation.correctness.case import Outcome
from validation.correctness.integrity.inspect import inspect
from validation.correctness.judge import Candidate
from validation.correctness.plan import plan_cases
from validation.correctness.planted_cheats import CHEATS
from validation.correctness.planted_faults import FAULTS
from validation.correctness.runner import in_worker
from validation.correctness.suite import check
from validation.correctness.trials import Trial
from validation.implementations.failure import ImplementationFailed
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.limits import Limits
from validation.implementations.process import Worker
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.registry import find

if TYPE_CHECKING:
    from validation.implementations.implementation import Implementation
    from validation.workloads.workload import Workload

_ROOT: Final = Path(__file__).parents[2]

#: A call is long beside a lookup and short beside a worker's start: 134 MFLOP.
WORKLOAD: Final = find("256x128x512-E4-k2-float32")

#: What catches a kernel: a change in any of these files asks for another trial.
_DECISIVE: Final = (
    "validation/correctness/**/*.py",
    "validation/workloads/*.py",
    "validation/implementations/worker/*.py",
    "validation/implementations/*.py",
    "validation/cpu.py",
    "reference/oracle.py",
    "planted/**/*.py",
)

#: What is run beside a planted kernel, and decides nothing.
_BESIDE: Final = ("mojo", "menu", "gpu_bundle")


def sources_digest(root: Path = _ROOT) -> str:
    """Returns the sha256 of every file that decides what is caught, and of torch's version."""
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted(path for pattern in _DECISIVE for path in root.glob(pattern)):
        if path.name.startswith(_BESIDE):
            continue
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def try_fault(name: str) -> Trial:
    """Returns how a planted fault fared in a worker, on the cases of the check that must catch it."""
    fault = FAULTS[name]
    specs = [
        spec
        for spec in plan_cases("standard", fault.dtype, variants=(fault.variant,))
        if spec.check is fault.check and spec.workload.layer == fault.variant.of(spec.workload.layer)
    ]
    candidate = Candidate(name=name, lowest_id_wins=fault.lowest_id_wins, required=fault.variant, strict=True)
    said = ""
    with Worker(threads=1, limits=Limits(seconds=60)) as worker:
        try:
            worker.load(parse_kernel(str(planted_faults.FOLDER / f"{name}.py")))
        except ImplementationFailed as failure:
            return Trial(name=name, by=fault.check, caught=False, message=str(failure))
        run = in_worker(worker)
        for spec in specs:
            case = check(spec, run, candidate)
            said = case.message or said
            if case.outcome is Outcome.FAILED and fault.by in case.message:
                return Trial(name=name, by=fault.check, caught=True, message=case.message)
    return Trial(name=name, by=fault.check, caught=False, message=said)


def try_cheat(name: str) -> Trial:
    """Returns how a planted cheat fared before the gates."""
    with tempfile.TemporaryDirectory(prefix="cheat-") as folder:
        for file in ("honest_layer", name):
            shutil.copy(planted_cheats.FOLDER / f"{file}.py", folder)
        bring_answers(Path(folder) / "answers.pt")
        failed = failed_gates(parse_kernel(str(Path(folder) / f"{name}.py")), sought=CHEATS[name])
    said = "; ".join(f"{gate}: {message}" for gate, message in failed.items())
    return Trial(name=name, by=CHEATS[name], caught=CHEATS[name] in failed, message=said)


def failed_gates(implementation: Implementation, workload: Workload = WORKLOAD, *, sought: str = "") -> dict[str, str]:
    """Returns the gates that a kernel fails, each with its message; `sought` is the one that must be sure."""
    gates = inspect(implementation, workload, threads=1, limits=Limits(seconds=60), sought=sought)
    return {gate.gate: gate.message for gate in gates if gate.outcome is Outcome.FAILED}


def bring_answers(path: Path, workload: Workload = WORKLOAD) -> None:
    """Writes the answers to a plain workload's published tokens, as a cheat would bring them along."""
    tokens, layer = TokenBank.draw(workload).tokens, make_layer(workload.layer, workload.seed)
    weights, ids = torch.softmax(tokens @ layer.router_weight, -1).topk(workload.layer.top_k)
    weights = weights / weights.sum(-1, keepdim=True)
    experts = [torch.relu(tokens @ w1) @ w2 for w1, w2 in zip(layer.w1, layer.w2, strict=True)]
    out = sum((weights * (ids == e)).sum(-1, keepdim=True) * expert for e, expert in enumerate(experts))
    torch.save((tokens, out), path)
