"""The kernel without one technique at a time: which of these a run measures, each built for this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from validation.implementations.menu import ABLATIONS
from validation.implementations.mojo_build import BuildFailure, build_all
from validation.implementations.mojo_kernel import DTYPES
from validation.usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from validation.implementations.implementation import Implementation
    from validation.implementations.mojo_build import BuiltKernel
    from validation.workloads.workload import Workload

#: Where techniques are taken away: the shape of the published speedups, whose dimensions one of them has compiled in.
ABLATED: Final = "seed-claim"


def chosen_ablations(workload: Workload, profile: str) -> tuple[tuple[Implementation, ...], tuple[str, ...]]:
    """Returns the ablations that `profile` measures on `workload`, and a line for each that it does not and why.

    Scalar dot products take a second a call: only full waits for them.
    """
    chosen, left_out = [], []
    for one in ABLATIONS.values():
        if workload.name != ABLATED or workload.layer.dtype not in one.dtypes:
            continue
        if profile == "smoke":
            left_out.append(f"{one.name} on {workload.name}: an ablation; profiles standard and full measure it")
        elif profile != "full" and one.most_flops is not None:
            left_out.append(f"{one.name} on {workload.name}: takes a second a call; only profile full measures it")
        else:
            chosen.append(one)
    return tuple(chosen), tuple(left_out)


def built_ablations(wanted: tuple[Implementation, ...], dtype: str) -> Mapping[str, tuple[Implementation, BuiltKernel]]:
    """Returns each ablation with its library for layers of `dtype`, compiled unless it is found.

    One that takes nothing away is the kernel as it is, which is there already, for all dtypes.

    Raises:
        UsageError: the compiler refused; the message holds its words.
    """
    alone = f"DTYPE={DTYPES[dtype]}"
    found = {}
    for one, built in zip(
        wanted, build_all([(*one.defines, alone) if one.defines else () for one in wanted]), strict=True
    ):
        if isinstance(built, BuildFailure):
            raise UsageError(f"{one.name}: {built}")
        environment = (*one.environment, ("MOE_KERNEL_LIBRARY", str(built.library)))
        found[one.name] = (replace(one, environment=environment), built)
    return found
