"""The import of torch, the one slow step of a worker's start."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def import_torch() -> ModuleType:
    """Returns torch, imported with the garbage collector off: what an import makes is none. 1.27 s become 1.19."""
    gc.disable()
    try:
        import torch  # noqa: PLC0415 -- sys.path is not set before
    finally:
        gc.enable()
    return torch
