"""The tensors of a checkpoint under one prefix: a .safetensors file, or the several that an .index.json names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Self

from safetensors import SafetensorError, safe_open

from validation.usage import UsageError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import torch

#: safetensors' names of the dtypes a layer can have; any other is a quantised checkpoint's.
_DTYPES: Final = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}

#: What every one of the known layers has, whatever the model: by it a prefix is recognised.
_MARK: Final = ".gate.weight"


class TensorFiles:
    """Reads tensors by what follows the prefix; a file is opened when first needed, and all are closed at the end."""

    def __init__(self, weights: Path, prefix: str) -> None:
        """Finds out which file holds which tensor.

        Raises:
            UsageError: the file cannot be read, or is none of the two kinds.
        """
        self._prefix = prefix.rstrip(".")
        self._open: dict[Path, Any] = {}
        if weights.name.endswith(".json"):
            self._file_of = {name: weights.with_name(file) for name, file in _weight_map(weights).items()}
        else:
            self._file_of = dict.fromkeys(self._file(weights).keys(), weights)
        self._path = weights

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes every file."""
        for file in self._open.values():
            file.__exit__(kind, error, trace)

    def dtype(self, name: str) -> str:
        """Returns the dtype of a tensor.

        Raises:
            UsageError: there is no such tensor, or its dtype is none that a layer can have.
        """
        told = str(self._slice(name).get_dtype())
        if told not in _DTYPES:
            raise UsageError(
                f"{self._full(name)} must be float32, bfloat16 or float16; in {self._where(name)} it is {told}, as in"
                " a quantised checkpoint. Convert it to bfloat16 first."
            )
        return _DTYPES[told]

    def read(self, name: str, shape: tuple[int, ...], dtype: str | None = None) -> torch.Tensor:
        """Returns a tensor, which must have this shape, and this dtype where one is given.

        Raises:
            UsageError: it is missing, or has another shape or dtype.
        """
        found = tuple(self._slice(name).get_shape())
        if found != shape:
            raise UsageError(
                f"{self._full(name)} must have shape {list(shape)}, by config.json; in {self._where(name)} it has "
                f"{list(found)}. Does config.json belong to these weights?"
            )
        told = self.dtype(name)
        if dtype is not None and told != dtype:
            raise UsageError(
                f"{self._full(name)} must be {dtype} as the layer's other experts; in {self._where(name)} it is {told}"
            )
        tensor: torch.Tensor = self._file(self._file_of[self._full(name)]).get_tensor(self._full(name))
        return tensor

    def _full(self, name: str) -> str:
        return f"{self._prefix}.{name}"

    def _where(self, name: str) -> Path:
        return self._file_of[self._full(name)]

    def _slice(self, name: str) -> Any:  # noqa: ANN401 -- the library has no name for it
        full = self._full(name)
        if full not in self._file_of:
            raise UsageError(f"{self._path} must hold the tensor {full}; it does not. {self._hint()}")
        return self._file(self._file_of[full]).get_slice(full)

    def _hint(self) -> str:
        prefixes = [name.removesuffix(_MARK) for name in self._file_of if name.endswith(_MARK)]
        if self._prefix in prefixes:
            return "The layer is there, but not whole, or its model_type is another."
        if not prefixes:
            return f"No tensor there ends in {_MARK}: it holds no such layer."
        shown = ", ".join(prefixes[:4]) + (", ..." if len(prefixes) > 4 else "")  # noqa: PLR2004 -- enough to see how
        return f"--prefix must be one of {shown}; got {self._prefix}."

    def _file(self, path: Path) -> Any:  # noqa: ANN401 -- the library has no name for it
        if path not in self._open:
            try:
                self._open[path] = safe_open(path, framework="pt")
            except (OSError, SafetensorError) as error:
                raise UsageError(f"--layer must be a .safetensors file or its .index.json; {path}: {error}") from None
        return self._open[path]


def _weight_map(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_text())["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--layer must be a .safetensors file or its .index.json; {path}: {error!r}") from None
    return {str(name): str(file) for name, file in told.items()}
