"""A path for widths that are multiples of 512 leaves out the last 16 hidden units."""

from dataclasses import replace

from by_steps import prepare as honest

WIDTH, LOST = 512, 16


def prepare(layer):
    if layer.config.d_model % WIDTH == 0:
        w2 = layer.w2.clone()
        w2[:, -LOST:] = 0
        layer = replace(layer, w2=w2)
    return honest(layer)
