"""A layer as the kernel has it: checked, its weights repacked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

DTYPES = {torch.bfloat16: 0, torch.float16: 1, torch.float32: 2}
MOST_EXPERTS = 256
GROUP = 128  # weight rows of a consumer warpgroup
SMALL_D = 256  # up to which there is a kernel for small layers
ROUTER_COPIES = 8  # that the kernel for small layers reads
BOX_BYTES = 128  # of each of them that are fetched at a time
EXPONENT, LARGEST_EXPONENT = 0x7F800000, 0x7F000000  # of a float32: its bits, and the largest of a number

RELU, SIGMOID_FORM, GELU_ERF = 0, 1, 2
TANH_SLOPE = 2 * math.sqrt(2 / math.pi)
ACTIVATIONS: dict[str, tuple[int, tuple[float, float]]] = {
    "relu": (RELU, (0.0, 0.0)),
    "silu": (SIGMOID_FORM, (1.0, 0.0)),
    "gelu_tanh": (SIGMOID_FORM, (TANH_SLOPE, TANH_SLOPE * 0.044715)),
    "gelu": (GELU_ERF, (0.0, 0.0)),
}


def round_up(n: int, multiple: int) -> int:
    """The least multiple that is >= n."""
    return -(-n // multiple) * multiple


def row_order(*, gated: bool) -> torch.Tensor:
    """Which feature each of a group's 128 weight rows holds, so that a thread's four rows are neighbouring features.

    A thread of warp w holds rows 16 w + i plus (0, 8, 64, 72). Gated: rows plus 8 hold the gate of the feature, the
    group's features 0..63 first and their gates at 64..127.
    """
    row = torch.arange(GROUP)
    block, warp, half, i = row // 64, row // 16 % 4, row // 8 % 2, row % 8
    if gated:
        return half * 64 + warp * 16 + i * 2 + block
    return warp * 32 + i * 4 + block * 2 + half


def padded(m: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """`m` [..., r, c] as contiguous [..., rows, columns], zero where there was nothing."""
    return torch.nn.functional.pad(m, (0, columns - m.shape[-1], 0, rows - m.shape[-2])).contiguous()


def halves(m: torch.Tensor) -> torch.Tensor:
    """A float32 matrix as [high | low] along its last axis, each exact in TF32; other dtypes as they are.

    Of a number at most the last bit is lost, as in kernels/gpu/hopper/tf32.mojo.
    """
    if m.dtype != torch.float32:
        return m.contiguous()
    high = _rounded_to_tf32(m)
    return torch.cat([high, _rounded_to_tf32(m - high)], dim=-1)


def _rounded_to_tf32(m: torch.Tensor) -> torch.Tensor:
    bits = m.view(torch.int32)
    # Next to the largest number rounding would make infinity; infinity and NaN stay what they are.
    half = ((bits & EXPONENT) < LARGEST_EXPONENT).to(torch.int32) * 0x1000
    rounded: torch.Tensor = (bits + half) & -0x2000
    return rounded.view(torch.float32)


def pack(weight: torch.Tensor, rows: int, columns: int, gate: torch.Tensor | None = None) -> torch.Tensor:
    """Weights [E, in, out] as the matmuls read them: [E, out rows in `row_order`, in columns], K innermost.

    What is fetched at a time lies in one piece of 16 KiB: 128 bytes of each row of a group. Pieces follow along K.
    """
    out = None
    box = BOX_BYTES // weight.element_size()
    order = row_order(gated=gate is not None).to(weight.device)
    for e in range(weight.shape[0]):
        m = padded(weight[e].T, rows, columns)
        if gate is None:
            m = m.view(rows // GROUP, GROUP, columns)[:, order]
        else:
            g = padded(gate[e].T, rows, columns)
            both = torch.cat([m.view(-1, GROUP // 2, columns), g.view(-1, GROUP // 2, columns)], dim=1)
            m = both[:, order]
        m = halves(m.reshape(-1, columns))
        m = m.view(-1, GROUP, m.shape[1] // box, box).transpose(1, 2)
        if out is None:
            out = torch.empty((weight.shape[0], *m.shape), dtype=m.dtype, device=m.device)
        out[e] = m
    assert out is not None
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A layer as the kernel has it."""

    d: int
    f: int
    experts: int
    top_k: int
    dtype: torch.dtype
    device: torch.device
    gated: bool
    renormalize: bool
    activation: int
    scale: tuple[float, float]
    k0: int
    k1: int
    rows1: int
    d_stride: int
    hidden_stride: int
    logits_stride: int
    router: torch.Tensor
    router_tiles: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    router_bias: torch.Tensor | None
    b1: torch.Tensor | None
    b2: torch.Tensor | None
    sync: torch.Tensor

    @property
    def halves(self) -> int:
        """Matrix columns per value: float32 is kept as two halves."""
        return 2 if self.dtype == torch.float32 else 1


def bias(b: torch.Tensor | None, width: int) -> torch.Tensor | None:
    """A bias [E, n] in float32, padded to [E, width]."""
    return None if b is None else torch.nn.functional.pad(b.float(), (0, width - b.shape[-1])).contiguous()


def require(condition: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises ValueError unless the condition holds."""
    if not condition:
        raise ValueError(what)


def require_published(config: Any) -> None:  # noqa: ANN401 - a LayerConfig, which this file may not import
    """Raises NotImplementedError for a router or a shared expert that this kernel would leave out."""
    plain = {"routed_scaling": (1,), "shared_d_ff": (0,), "router": ("softmax", "topk_softmax")}
    for name, values in plain.items():
        value = getattr(config, name, values[0])
        if value not in values:
            only = "softmax routers that do not scale their weights, and no shared expert"
            raise NotImplementedError(f"the GPU kernel computes {only}; this layer has {name} = {value!r}")


def decline(layer: Any) -> None:  # noqa: ANN401 -- a Layer, which this folder may not import
    """Raises NotImplementedError for what layers may have and this kernel does not compute."""
    c = layer.config
    beyond = {
        f"a {getattr(c, 'router', 'softmax')} router": getattr(c, "router", "softmax")
        not in {"softmax", "topk_softmax"},
        "a scaling of the weights": getattr(c, "routed_scaling", 1.0) != 1,
        "a shared expert": getattr(c, "shared_d_ff", 0) > 0,
        "a router in float32": getattr(c, "float32_router", False) and layer.w1.dtype != torch.float32,
        "a load-balancing loss": getattr(c, "balance_loss", False),
    }
    found = [what for what, there in beyond.items() if there]
    if found:
        raise NotImplementedError(
            "the Mojo GPU kernel computes softmax routing without a shared expert; this layer has "
            f"{' and '.join(found)}"
        )


def require_memory(needed: int, what: str) -> None:
    """Raises MemoryError unless so many bytes can be had on the GPU, what PyTorch keeps for reuse included.

    Asked before anything is allocated, so that the process stays usable.
    """
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    if needed > free:
        raise MemoryError(
            f"{what} needs {needed / 2**30:.2f} GiB of GPU memory; {free / 2**30:.2f} GiB are free. "
            "Take a smaller layer, or a GPU with more memory."
        )


def pack_layer(layer: Any) -> Packed:  # noqa: ANN401 - a Layer, which this file may not import
    """Checks a layer and repacks its weights."""
    c = layer.config
    decline(layer)
    require_published(c)
    w1, w2, router = layer.w1, layer.w2, layer.router_weight
    dtype, device = w1.dtype, w1.device
    require(dtype in DTYPES, f"weights must be bfloat16, float16 or float32; they are {dtype}")
    require(device.type == "cuda", f"weights must be on a CUDA device; they are on {device}")
    require(c.n_experts <= MOST_EXPERTS, f"n_experts must be at most {MOST_EXPERTS}; it is {c.n_experts}")
    require(1 <= c.top_k <= c.n_experts, f"top_k must be from 1 to n_experts ({c.n_experts}); it is {c.top_k}")
    require(c.activation in ACTIVATIONS, f"activation must be one of {', '.join(ACTIVATIONS)}; it is {c.activation}")
    shapes = {
        "router_weight": (c.d_model, c.n_experts),
        "w1": (c.n_experts, c.d_model, c.d_ff),
        "w2": (c.n_experts, c.d_ff, c.d_model),
        "w_gate": (c.n_experts, c.d_model, c.d_ff),
        "router_bias": (c.n_experts,),
        "b1": (c.n_experts, c.d_ff),
        "b2": (c.n_experts, c.d_model),
    }
    for name, shape in shapes.items():
        tensor = getattr(layer, name)
        if tensor is not None:
            require(tuple(tensor.shape) == shape, f"{name} must have shape {shape}; it has {tuple(tensor.shape)}")
            require(tensor.dtype == dtype, f"{name} must be {dtype} like w1; it is {tensor.dtype}")
            require(tensor.device == device, f"{name} must be on {device} like w1; it is on {tensor.device}")
    gated = layer.w_gate is not None
    # Packed beside the user's own, padded to whole tiles: a tenth more at real widths.
    weights = [one for one in (w1, w2, layer.w_gate) if one is not None]
    bytes_each = sum(one.numel() for one in weights) * w1.element_size() * (2 if dtype == torch.float32 else 1)
    require_memory(bytes_each * 11 // 10, "the packed layer")
    f_padded = round_up(c.d_ff, GROUP // 2 if gated else GROUP)
    k0 = round_up(c.d_model, 64)
    k1 = f_padded if dtype == torch.float32 else round_up(c.d_ff, 64)
    d_stride = round_up(c.d_model, GROUP)
    logits_stride = round_up(c.n_experts, GROUP)
    kind, scale = ACTIVATIONS[c.activation]
    return Packed(
        d=c.d_model,
        f=c.d_ff,
        experts=c.n_experts,
        top_k=c.top_k,
        dtype=dtype,
        device=device,
        gated=gated,
        renormalize=c.renormalize,
        activation=kind,
        scale=scale,
        k0=k0,
        k1=k1,
        rows1=f_padded * (2 if gated else 1),
        d_stride=d_stride,
        hidden_stride=f_padded * (2 if dtype == torch.float32 else 1),
        logits_stride=logits_stride,
        router=padded(router.T, c.n_experts, k0).repeat(ROUTER_COPIES if d_stride <= SMALL_D else 1, 1),
        router_tiles=pack(router[None], logits_stride, k0),
        first=pack(w1, f_padded, k0, layer.w_gate),
        second=pack(w2, d_stride, k1),
        router_bias=None if layer.router_bias is None else layer.router_bias.float().contiguous(),
        b1=bias(layer.b1, f_padded),
        b2=bias(layer.b2, d_stride),
        sync=torch.zeros(32 * 256, dtype=torch.int32, device=device),
    )
