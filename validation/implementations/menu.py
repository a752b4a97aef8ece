"""The menu: every baseline a claim may be measured against, and the kernel under validation."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from validation.implementations.implementation import Implementation
from validation.usage import unknown_name

_HERE: Final = Path(__file__).resolve().parent
_REFERENCE: Final = _HERE.parents[1] / "reference"

_EVERY_DTYPE: Final = frozenset({"float32", "bfloat16", "float16"})
_EVERY_DEVICE: Final = frozenset({"cpu", "cuda"})

#: An even number, so that orders and their reverses are balanced. For what costs much (a call of a baseline that goes
#: token by token takes 0.1 to 0.2 s) and what is more than three times slower than the candidate wherever it was seen:
#: half the pairs widen its interval by two thirds, and a claim of 1x or 382x is as far away as before. With eight of
#: twelve, profile standard had no time for five of the rounds on a machine that strangers kept busy.
_FEW_PAIRS: Final = 6

#: On Zen3, with AVX2 alone, PyTorch multiplies bfloat16 and float16 at 1.4 to 1.6 GFLOP/s in every form, its dense one,
#: which computes all experts, at 0.4 (seed-quick, best of 4 calls). So seed-claim takes 1.4 s a call, and is measured.
_MOST_SCALAR_FLOPS: Final = 2.5e9
_MOST_SCALAR_FLOPS_DENSE: Final = 5e8


def _python(
    name: str, description: str, *, most_flops: float | None = None, published_only: bool = False
) -> Implementation:
    return Implementation(
        name=name,
        source=_REFERENCE / f"{name}.py",
        family=name.partition("_")[0],
        description=description,
        trusted=True,
        most_flops=most_flops,
        published_only=published_only,
    )


def _torch(
    name: str,
    description: str,
    *,
    dtypes: frozenset[str] = _EVERY_DTYPE,
    devices: frozenset[str] = _EVERY_DEVICE,
    most_flops: float | None = None,
) -> Implementation:
    return Implementation(
        name=name,
        source=_REFERENCE / f"{name}.py",
        family="torch",
        description=description,
        dtypes=dtypes,
        devices=devices,
        trusted=True,
        most_flops=most_flops,
        most_scalar_flops=_MOST_SCALAR_FLOPS,
    )


def _cpp(name: str, description: str, *, most_flops: float | None = None) -> Implementation:
    return replace(_python(name, description, most_flops=most_flops), program="g++", published_only=True)


def _few(one: Implementation) -> Implementation:
    """The same, in few rounds."""
    return replace(one, most_pairs=_FEW_PAIRS)


#: Name -> baseline. `strongest` and `strongest:FAMILY` are computed over what of these was measured.
BASELINES: Final[dict[str, Implementation]] = {
    baseline.name: baseline
    for baseline in (
        # 0.05 GFLOP/s.
        _python("python_lists", "pure Python, lists and loops", most_flops=2e7, published_only=True),
        # 10 to 30 GFLOP/s.
        _few(_python("numpy_per_token", "NumPy float32, one token at a time", most_flops=1e10)),
        _python("numpy_grouped", "NumPy float32, grouped by expert"),
        _few(
            _python("numpy_as_published", "NumPy as published: float64 weights, grouped by expert", published_only=True)
        ),
        _few(_torch("torch_per_token", "PyTorch, one token at a time (published 'unoptimised')", most_flops=1e10)),
        _torch("torch_per_expert", "PyTorch, a loop over experts (published 'optimised')"),
        _torch("torch_sorted", "PyTorch, pairs sorted by expert, a matmul per slice"),
        _torch("torch_grouped_mm", "PyTorch's grouped_mm over pairs sorted by expert"),
        replace(
            _torch("torch_dense", "PyTorch, all experts as one wide FFN"), most_scalar_flops=_MOST_SCALAR_FLOPS_DENSE
        ),
        replace(
            _torch(
                "torch_onednn_prepacked",
                "PyTorch over oneDNN, weights packed once, activation fused",
                dtypes=frozenset({"float32", "bfloat16"}),  # its float16 needs avx512_fp16, which few machines have
                devices=frozenset({"cpu"}),
            ),
            most_scalar_flops=0.0,  # it packs for those instructions alone
        ),
        # 4 GFLOP/s a thread.
        _cpp("cpp_scalar", "C++, the plain loop, compiler's vectoriser off", most_flops=1e10),
        _few(_cpp("cpp_autovectorized", "C++, the plain loop, vectorised by the compiler (-O3 -march=native)")),
        _cpp("cpp_packed", "C++, the Mojo kernel's algorithm: packed weights, register tile, all threads"),
    )
}


def _compiled(name: str) -> Implementation:
    of = BASELINES[f"torch_{name}"]
    return replace(
        of,
        name=f"{of.name}_compiled",
        source=_REFERENCE / "torch_compiled.py",
        function=f"prepare_{name}",
        description=f"{of.description}, through torch.compile",
        devices=frozenset({"cpu"}),
        # Inductor's pool of compiling processes outlives the compilation, and would run beside what is timed.
        environment=(("TORCHINDUCTOR_COMPILE_THREADS", "1"),),
        program="g++",
        most_pairs=_FEW_PAIRS,
    )


#: Name -> what others ship for the same layer on a CPU.
PEERS: Final[dict[str, Implementation]] = {
    peer.name: peer
    for peer in (
        _compiled("per_expert"),
        _compiled("dense"),
        # The strongest peer at the published shape: of six pairs its interval decided in one of two runs an hour apart.
        _python("onnx_moe", "ONNX Runtime's MoE operator", published_only=True),
        replace(
            _few(_python("ggml_moe", "llama.cpp's graph over ggml_mul_mat_id", published_only=True)),
            dtypes=_EVERY_DTYPE,
        ),
        replace(
            _few(_python("max_matmul", "MAX's linalg.matmul for each expert, from Mojo", published_only=True)),
            dtypes=frozenset({"float32", "bfloat16"}),
        ),
    )
}

#: The kernel under validation; whoever runs it adds the built library's path to its environment.
MOJO: Final = Implementation(
    name="mojo",
    source=_HERE / "mojo_kernel.py",
    family="mojo",
    description="this project's Mojo kernel",
    dtypes=_EVERY_DTYPE,
)

#: Scalar sums are float32's: no scalar instruction multiplies pairs of bfloat16.
_FLOAT32: Final = frozenset({"float32"})


def _ablation(
    name: str, description: str, *defines: str, dtypes: frozenset[str] = _EVERY_DTYPE, most_flops: float | None = None
) -> Implementation:
    return replace(
        MOJO,
        name=f"mojo_{name}",
        description=f"the Mojo kernel, {description}",
        dtypes=dtypes,
        trusted=True,
        most_flops=most_flops,
        defines=defines,
        most_pairs=_FEW_PAIRS,
    )


#: Name -> the kernel without one technique: the same source, with switches of kernels/moe/ablation.mojo.
ABLATIONS: Final[dict[str, Implementation]] = {
    ablation.name: ablation
    for ablation in (
        _ablation("runtime_dims", "as it is: dimensions known at run time"),
        _ablation("comptime_dims", "its dimensions known to the compiler", "D_MODEL=256", "D_FF=1024"),
        _ablation("runtime_tile", "its register tile's rows and panels known at run time", "RUN_TIME_TILE=1"),
        _ablation("unpacked", "its weights row-major, not packed into panels", "ROW_MAJOR=1"),
        _ablation("one_thread", "on one thread", "ONE_THREAD=1"),
        _ablation("alloc_per_call", "its workspace allocated in every call", "ALLOCATION=1"),
        _ablation("alloc_page_fault", "its workspace mapped anew in every call", "ALLOCATION=2"),
        _ablation("scalar", "vectors of one element, the same independent sums", "SCALAR=1", dtypes=_FLOAT32),
        # 4 GFLOP/s on two threads, and 2 when strided.
        _ablation(
            "scalar_dot",
            "scalar dot products, one sum at a time",
            "SCALAR=1",
            "ONE_SUM=1",
            dtypes=_FLOAT32,
            most_flops=5e9,
        ),
        _ablation(
            "scalar_strided",
            "scalar dot products over row-major weights",
            "SCALAR=1",
            "ONE_SUM=1",
            "ROW_MAJOR=1",
            dtypes=_FLOAT32,
            most_flops=5e9,
        ),
    )
}

#: Everything that readings may name.
KNOWN: Final[tuple[Implementation, ...]] = (MOJO, *BASELINES.values(), *PEERS.values(), *ABLATIONS.values())


def find_baseline(name: str) -> Implementation:
    """Returns the baseline of that name.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    if name not in BASELINES:
        raise unknown_name("baseline", name, BASELINES)
    return BASELINES[name]
