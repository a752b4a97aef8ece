"""A bundle: a folder with the compiled kernel and all it needs, which runs where no Mojo is installed.

Its manifest says what it was made from and what every file must hash to. This file imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 -- used at run time too
from typing import Final

EXTENSION: Final = "moe_gpu.so"
#: The libraries the extension loads; they find each other through their own `$ORIGIN`.
RUNTIME: Final = (
    "libAsyncRTMojoBindings.so",
    "libAsyncRTRuntimeGlobals.so",
    "libKGENCompilerRTShared.so",
    "libMSupportGlobals.so",
)
MANIFEST: Final = "manifest.json"


class BundleError(RuntimeError):
    """A bundle is not whole, or not for this machine: what was required, what came, what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle is: target, compiler and sources it was made from, and the SHA-256 of each of its files.

    `commit` is that of the suite's repository, "unknown" outside of one. `oldest_driver` is the major version of the
    oldest NVIDIA driver the kernel has run on.
    """

    target: str
    compiler: str
    commit: str
    sources_sha256: str
    oldest_driver: int
    files: dict[str, str]

    @property
    def sha256(self) -> str:
        """One digest for the whole bundle, over those of its files."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verify(bundle: Path) -> Manifest:
    """Returns the manifest of a bundle whose files are what it says.

    Raises:
        BundleError: the folder is no bundle, or a file is missing or was changed.
    """
    path = bundle / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"a GPU bundle holds {MANIFEST}; {bundle} does not. Make one: moe-validation bundle --out {bundle}"
        )
    try:
        manifest = Manifest(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise BundleError(f"{path} must be a bundle's manifest; {error}. Make the bundle again.") from error
    for name in (EXTENSION, *RUNTIME):
        if name not in manifest.files:
            raise BundleError(f"{path} must list {name}; it does not. Make the bundle again.")
    for name, expected in manifest.files.items():
        if not (bundle / name).is_file():
            raise BundleError(f"the bundle must hold {name}; {bundle} does not. Copy the whole folder again.")
        found = file_sha256(bundle / name)
        if found != expected:
            raise BundleError(f"{bundle / name} must have SHA-256 {expected}; it has {found}. Copy the bundle again.")
    return manifest


def require_fit(manifest: Manifest, *, capability: str, driver: str) -> None:
    """Passes when a bundle runs on a GPU of compute capability `capability` ("9.0") with driver `driver` ("580.1").

    Raises:
        BundleError: the GPU is of another architecture, or its driver is older than any the kernel has run on.
    """
    here = f"sm_{capability.replace('.', '')}"
    if manifest.target.rstrip("a") != here:
        raise BundleError(
            f"the bundle was compiled for {manifest.target}; this GPU is {here}. The Mojo GPU kernel needs a Hopper "
            "GPU (H100, H200); on any other measure with --kernel FILE.py."
        )
    major = driver.partition(".")[0]
    if major.isdigit() and int(major) < manifest.oldest_driver:
        raise BundleError(
            f"the bundle needs NVIDIA driver {manifest.oldest_driver} or newer; this machine has {driver}. "
            "Install a newer driver."
        )
