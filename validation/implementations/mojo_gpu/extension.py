"""The compiled extension and what it keeps for a GPU: verified, fitted to the machine and opened once per process."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from .bundle import EXTENSION, BundleError, Manifest, require_fit, verify

if TYPE_CHECKING:
    from types import ModuleType

#: Where Linux tells the version of the loaded NVIDIA driver.
_DRIVER: Final = Path("/sys/module/nvidia/version")


@cache
def verified_bundle() -> tuple[Path, Manifest]:
    """Returns the folder that `MOE_KERNEL_BUNDLE` names and its manifest, every file hashed.

    Raises:
        BundleError: the variable is not set, or names no whole bundle.
    """
    named = os.environ.get("MOE_KERNEL_BUNDLE")
    if not named:
        raise BundleError(
            "MOE_KERNEL_BUNDLE must name the folder of a GPU bundle; it is not set. "
            "Make one: moe-validation bundle --out DIR"
        )
    folder = Path(named).resolve()
    return folder, verify(folder)


@cache
def extension() -> ModuleType:
    """Returns the bundle's compiled extension.

    Raises:
        BundleError: the bundle is not whole, or the system cannot load it.
    """
    folder, _manifest = verified_bundle()
    spec = importlib.util.spec_from_file_location("moe_gpu", folder / EXTENSION)
    assert spec is not None
    assert spec.loader is not None
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError as error:
        raise BundleError(
            f"{folder / EXTENSION} must load on this system (Linux x86-64, glibc 2.34 or newer); {error}"
        ) from error
    return module


@cache
def open_device(index: int) -> tuple[int, int]:
    """Returns the extension's handle of a GPU and its number of multiprocessors.

    Raises:
        BundleError: the bundle does not fit the GPU or its driver.
    """
    major, minor = torch.cuda.get_device_capability(index)
    driver = _DRIVER.read_text().strip() if _DRIVER.is_file() else ""
    require_fit(verified_bundle()[1], capability=f"{major}.{minor}", driver=driver)
    handle, count = extension().open_device(index)
    return int(handle), int(count)


@cache
def compiled(device: int, dtype: int, gated: int, shape: int) -> int:
    """Returns a compiled variant; the driver takes about 10 s the first time on a machine."""
    return int(extension().compile_variant(device, dtype, gated, shape))
