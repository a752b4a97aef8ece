"""The menu on an NVIDIA GPU: PyTorch's forms as they are, captured in CUDA graphs and compiled, and a Triton kernel."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from validation.implementations.implementation import Implementation
from validation.implementations.menu import BASELINES

_HERE: Final = Path(__file__).resolve().parent
_REFERENCE: Final = _HERE.parents[1] / "reference"
_ALONE: Final = frozenset({"cuda"})
_TENSOR_CORES: Final = frozenset({"bfloat16"})
_EVERY_DTYPE: Final = frozenset({"float32", "bfloat16", "float16"})

#: Inductor's pool of compiling processes is slower to start than what it has to compile here.
_COMPILING: Final = (("TORCHINDUCTOR_COMPILE_THREADS", "1"),)


def _graph(one: Implementation) -> Implementation:
    return replace(
        one, name=f"{one.name}_graph", description=f"{one.description}, in a CUDA graph", devices=_ALONE, graph=True
    )


def _compiled(name: str) -> Implementation:
    of = BASELINES[f"torch_{name}"]
    return replace(
        of,
        name=f"{of.name}_compiled",
        source=_REFERENCE / "torch_compiled.py",
        function=f"prepare_{name}",
        description=f"{of.description}, torch.compile and a CUDA graph",
        devices=_ALONE,
        environment=_COMPILING,
        graph=True,
    )


_TRITON: Final = Implementation(
    name="triton_fused",
    source=_REFERENCE / "triton_fused.py",
    family="triton",
    description="Triton, gather and activation fused into the matmuls",
    dtypes=_EVERY_DTYPE,
    devices=_ALONE,
    trusted=True,
)

#: The kernel under validation on a GPU, in a CUDA graph; whoever runs it adds the bundle's path to its environment.
MOJO_CUDA: Final = Implementation(
    name="mojo",
    source=_HERE / "mojo_gpu" / "__init__.py",
    family="mojo",
    description="this project's Mojo kernel for Hopper GPUs, in a CUDA graph",
    dtypes=_EVERY_DTYPE,
    devices=_ALONE,
    graph=True,
)

#: The same called eagerly: no competition for itself, so of its family.
MOJO_EAGER: Final = replace(
    MOJO_CUDA, name="mojo_eager", description="this project's Mojo kernel for Hopper GPUs, called eagerly", graph=False
)

#: Forms that only a GPU has.
GPU_FORMS: Final[dict[str, Implementation]] = {
    one.name: one
    for one in (
        # In other dtypes it is a loop that waits for the GPU, and cannot be captured.
        replace(_graph(BASELINES["torch_grouped_mm"]), dtypes=_TENSOR_CORES),
        _graph(BASELINES["torch_dense"]),
        replace(_compiled("grouped_mm"), dtypes=_TENSOR_CORES),
        _compiled("dense"),
        _TRITON,
        _graph(_TRITON),
        MOJO_EAGER,
    )
}


def baselines_on(device: str) -> tuple[Implementation, ...]:
    """Returns every baseline that runs on `device`."""
    return tuple(one for one in (*BASELINES.values(), *GPU_FORMS.values()) if device in one.devices)
