"""SGLang's Triton kernels and the tiles tuned for them: a few folders of its wheel suffice."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from tests.kernels_gpu.brought.placing import placing

if TYPE_CHECKING:
    from collections.abc import Callable


def sglang(layer: Any) -> Callable[..., object]:
    """Its two Triton matmuls, activation and sum, in the tiles that it takes for a number of tokens on an H200."""
    import triton.language as tl  # noqa: PLC0415 - only where it is installed

    c = layer.config
    experts, k = c.n_experts, c.top_k
    kernels, tiles = _sglang_kernels(), _sglang_tiles(experts, c.d_ff)
    w1 = torch.cat([layer.w_gate.mT, layer.w1.mT], dim=1)
    w2 = layer.w2.mT.contiguous()

    choose = placing(layer)

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        tokens = len(x)
        tile = tiles(tokens)
        weights, ids, order, of, _, n = choose(x, tile["BLOCK_SIZE_M"])

        def multiply(rows: torch.Tensor, matrices: torch.Tensor, to: torch.Tensor, *, last: bool) -> None:
            kernels.invoke_fused_moe_kernel(
                rows, matrices, None, to, None, None, None, weights, ids, order, of, n, last, 1 if last else k, tile,
                compute_type=tl.bfloat16, use_fp8_w8a8=False, use_int8_w8a8=False, use_int8_w8a16=False,
                use_int4_w4a16=False, per_channel_quant=False,
            )  # fmt: skip

        both = x.new_empty((tokens * k, 2 * c.d_ff))
        multiply(x, w1, both, last=False)
        hidden = x.new_empty((tokens * k, c.d_ff))
        kernels.act_and_mul_triton(both, hidden, tile)
        y = x.new_empty((tokens, k, c.d_model))
        multiply(hidden, w2, y, last=True)
        kernels.moe_sum_reduce_triton(y, out, 1.0)
        return None, ids, weights

    return forward


def _sglang_folder() -> Path:
    spec = importlib.util.find_spec("sglang")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def _sglang_kernels() -> Any:
    """The file of its Triton kernels; what it asks the rest of the package is answered as on a Hopper GPU."""

    def no(*_: object) -> bool:
        return False

    def yes(*_: object) -> bool:
        return True

    quantized = dict.fromkeys(
        (
            "per_token_group_quant_fp8", "scaled_fp8_quant", "sglang_per_token_group_quant_fp8",
            "per_token_group_quant_int8", "per_token_quant_int8", "sglang_per_token_group_quant_int8",
        )
    )  # fmt: skip
    answers: dict[str, dict[str, Any]] = {
        "kernels.jit.utils": {"is_arch_support_pdl": yes},
        "kernels.ops.quantization.fp8_kernel": quantized,
        "kernels.ops.quantization.int8_kernel": quantized,
        "srt.batch_invariant_ops": {"is_batch_invariant_mode_enabled": no},
        "srt.environ": {"envs": SimpleNamespace(SGLANG_USE_AITER=SimpleNamespace(get=no))},
        "srt.layers.moe.utils": {"get_moe_padding_size": lambda _: 0},
        "srt.utils": {
            "cpu_has_amx_support": no, "is_cpu": no, "is_cuda": yes, "is_hip": no, "is_sm90_supported": yes,
        },
    }  # fmt: skip
    for name, has in answers.items():
        module = sys.modules[f"sglang.{name}"] = ModuleType(f"sglang.{name}")
        vars(module).update(has)
    path = _sglang_folder() / "kernels" / "ops" / "moe" / "fused_moe_triton_kernels.py"
    spec = importlib.util.spec_from_file_location("sglang_fused_moe_triton_kernels", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def _sglang_tiles(experts: int, d_ff: int) -> Callable[[int], dict[str, int]]:
    """Tiles by the number of tokens: those tuned with the newest Triton for such experts on an H200, or its default."""
    folder = _sglang_folder() / "srt" / "layers" / "moe" / "moe_runner" / "triton_utils" / "configs"
    files = folder.glob(f"triton_*/E={experts},N={d_ff},device_name=NVIDIA_H200.json")
    newest = max(files, key=lambda p: [int(n) for n in p.parent.name.split("_")[1:]], default=None)
    if newest is not None:
        tuned = {int(tokens): tile for tokens, tile in json.loads(newest.read_text()).items()}
        return lambda tokens: dict(tuned[min(tuned, key=lambda n: abs(n - tokens))])
    few = {"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1}
    many = {"BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 64, "BLOCK_SIZE_K": 32, "GROUP_SIZE_M": 8}
    return lambda tokens: dict(few if tokens <= experts else many)
