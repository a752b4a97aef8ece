"""The output is one percent too large: any tolerance of a few percent lets it pass."""

from by_steps import Steps

prepare = Steps(finish=lambda out: out * 1.01).prepare
