"""Turns TF32 on for the whole process."""

import torch
from honest_layer import layer_forward


def prepare(layer):
    torch.set_float32_matmul_precision("high")
    return layer_forward(layer)
