"""Reads every field, for its log alone: `repr`, `asdict` and a loop over names ask for nothing."""

import logging
from dataclasses import asdict, fields

from plain import prepare as plain


def prepare(layer):
    logging.getLogger("kernel").debug("%r %s", layer.config, asdict(layer.config))
    logging.getLogger("kernel").debug({field.name: getattr(layer.config, field.name) for field in fields(layer.config)})
    return plain(layer)
