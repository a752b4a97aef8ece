"""From 256 tokens on tokens are cut to bfloat16 before the router's products: logits have 9 bits."""

import torch
from by_steps import Steps, logits_of

MANY = 256


def of_few_bits(layer, x):
    return logits_of(layer, x.to(torch.bfloat16) if len(x) >= MANY else x)


prepare = Steps(logits_of=of_few_bits).prepare
