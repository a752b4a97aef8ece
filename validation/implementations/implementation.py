"""An implementation: anything that computes the layer through `prepare(layer) -> forward`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """Where the code of an implementation is, and what it can do.

    `source` and `function` name a `prepare`. A trusted implementation is one of ours in reference/: it may share a
    process with others. The candidate never does. `environment` is added to the worker's.
    """

    name: str
    source: Path
    function: str = "prepare"
    family: str
    description: str
    dtypes: frozenset[str] = frozenset({"float32"})
    devices: frozenset[str] = frozenset({"cpu"})
    trusted: bool = False
    environment: tuple[tuple[str, str], ...] = ()
