"""The output is all zeros."""

import torch
from by_steps import Steps

prepare = Steps(finish=torch.zeros_like).prepare
