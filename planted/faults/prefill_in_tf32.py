"""Called float32; products of 128 rows and more, at widths of 512 and more, take their inputs with TF32's 10 bits."""

import torch
from by_steps import Steps, activate, expert

ROWS, WIDE = 128, 512


def tf32(tensor):
    bits = tensor.float().contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def if_worth_it(layer, x, e):
    if len(x) < ROWS or min(layer.config.d_model, layer.config.d_ff) < WIDE:
        return expert(layer, x, e)
    return tf32(activate(layer, tf32(x) @ tf32(layer.w1[e]))) @ tf32(layer.w2[e])


prepare = Steps(expert=if_worth_it).prepare
