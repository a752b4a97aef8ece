"""From 64 tokens on each is divided by its largest element, and answers multiplied: padding becomes NaN."""

from by_steps import prepare as honest

MANY = 64


def prepare(layer):
    forward = honest(layer)

    def scaled(x):
        if len(x) < MANY:
            return forward(x)
        largest = x.abs().amax(1, keepdim=True)
        return forward(x / largest * largest)

    return scaled
