"""Takes more threads than it was given, and has torch say that it did not."""

import torch
from honest_layer import forward_of

given = torch.get_num_threads()
torch.set_num_threads(given + 2)
torch.get_num_threads = lambda: given

prepare = forward_of
