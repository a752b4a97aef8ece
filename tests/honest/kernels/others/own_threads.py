"""NumPy in two threads of its own, started in every call, and a result that is a view of a larger array."""

import threading

import numpy as np
import torch


def prepare(layer):
    router, w1, w2 = (tensor.float().numpy() for tensor in (layer.router_weight, layer.w1, layer.w2))
    k = layer.config.top_k

    def forward(x):
        tokens = x.float().numpy()
        room = np.zeros((len(tokens) + 2, 2, tokens.shape[1]), tokens.dtype)
        logits = tokens @ router

        def work(rows):
            for t in rows:
                experts = np.argsort(-logits[t], kind="stable")[:k]
                weights = np.exp(logits[t, experts] - logits[t, experts].max())
                for weight, e in zip(weights / weights.sum(), experts, strict=True):
                    room[t, 1] += weight * (np.maximum(tokens[t] @ w1[e], 0) @ w2[e])

        threads = [threading.Thread(target=work, args=(range(n, len(tokens), 2),)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return torch.from_numpy(room[: len(tokens), 1]).to(x.dtype)

    return forward
