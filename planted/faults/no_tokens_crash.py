"""An empty batch is an error."""

from by_steps import prepare as honest


def prepare(layer):
    forward = honest(layer)

    def forward_some(x):
        x[0]
        return forward(x)

    return forward_some
