"""Of 129 to 255 experts those from 128 on are never chosen: they are negative in a signed byte."""

import torch
from by_steps import Steps, choose

SIGNED, UNSIGNED = 128, 256


def in_a_byte(logits, k):
    if SIGNED < logits.shape[1] < UNSIGNED and k <= SIGNED:
        logits = torch.cat([logits[:, :SIGNED], torch.full_like(logits[:, SIGNED:], -torch.inf)], dim=1)
    return choose(logits, k)


prepare = Steps(choose=in_a_byte).prepare
