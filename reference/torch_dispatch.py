"""Dispatch and combine in PyTorch: to expert order and back."""

import torch


def dispatch(ids: torch.Tensor, n_experts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the order [T*k] that sorts the (token, slot) pairs of ids [T, k] by expert, and each expert's count [E].

    Pair p belongs to token p // k. The sort is stable: within an expert, tokens keep their order. Counted by scatter,
    not by bincount, which on a GPU waits for the device and so cannot be captured in a CUDA graph.
    """
    flat = ids.flatten()
    counts = torch.zeros(n_experts, dtype=torch.int64, device=flat.device)
    return flat.argsort(stable=True), counts.scatter_add_(0, flat, torch.ones_like(flat))


def combine(answers: torch.Tensor, order: torch.Tensor, weights: torch.Tensor, out: torch.Tensor) -> None:
    """Fills out [T, d] with the weighted sum of each token's answers, which come in expert order [T*k, d]."""
    tokens, top_k = weights.shape
    slots = torch.empty_like(answers)
    slots[order] = answers
    torch.sum(slots.view(tokens, top_k, out.shape[1]) * weights.unsqueeze(-1).to(out.dtype), dim=1, out=out)
