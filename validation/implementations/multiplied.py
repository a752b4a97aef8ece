"""Which dtypes PyTorch multiplies by instructions of this CPU."""

from functools import cache


@cache
def multiplied(dtype: str) -> bool:
    """Returns whether PyTorch has instructions of this CPU for matrices of `dtype`; without any it goes one by one."""
    # Only a run needs torch; the report, which names implementations too, is drawn without it.
    import torch  # noqa: PLC0415

    supported = {
        "bfloat16": torch.ops.mkldnn._is_mkldnn_bf16_supported,  # noqa: SLF001
        "float16": torch.ops.mkldnn._is_mkldnn_fp16_supported,  # noqa: SLF001
    }
    return dtype not in supported or bool(supported[dtype]())
