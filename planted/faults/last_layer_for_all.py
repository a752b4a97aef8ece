"""What was prepared stands in one place of the module: of a model of two layers the first answers with the second's."""

from by_steps import prepare as honest

_prepared = []


def prepare(layer):
    _prepared[:] = [honest(layer)]
    return forward


def forward(x):
    return _prepared[0](x)
