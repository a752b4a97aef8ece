"""Makes GPU bundles and finds the one to use; what a bundle is stands in mojo_gpu/bundle.py."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from validation.implementations.mojo_build import SOURCES
from validation.implementations.mojo_gpu.bundle import (
    EXTENSION,
    MANIFEST,
    RUNTIME,
    BundleError,
    Manifest,
    file_sha256,
    require_fit,
    verify,
)
from validation.usage import UsageError

TARGET: Final = "sm_90a"
#: Major version of the oldest NVIDIA driver the kernel has run on.
OLDEST_DRIVER: Final = 580
#: Names the bundle where no option does.
VARIABLE: Final = "MOE_KERNEL_BUNDLE"
#: A compile takes 90 s on one core; ten times that is a hang.
_TIMEOUT_S: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBundle:
    """A bundle that is there, and what it was made from."""

    folder: Path
    manifest: Manifest

    @property
    def record(self) -> dict[str, str]:
        """Returns what evidence keeps of it."""
        made = self.manifest
        return {
            "compiler": made.compiler,
            "target": made.target,
            "commit": made.commit,
            "sources_sha256": made.sources_sha256,
            "library_sha256": made.files[EXTENSION],
        }


def build_bundle(out: Path, *, commit: str, target: str = TARGET, sources: Path = SOURCES / "gpu") -> Manifest:
    """Compiles the GPU kernel into a relocatable bundle at `out`; takes four minutes of a core and no GPU.

    The folder appears whole or not at all. One that is there already is replaced when it is a bundle.

    Raises:
        UsageError: another target, a folder that holds something else, a compiler without MAX's libraries, or one that
            fails.
    """
    if target != TARGET:
        raise UsageError(f"--target must be {TARGET}: the GPU kernel is written for Hopper; got {target}.")
    if out.exists() and not (out / MANIFEST).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out must be a new folder or an old bundle; {out} holds something else. Choose another.")
    mojo, runtime = gpu_compiler()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        _compile(mojo, sources, made / EXTENSION, target)
        for name in RUNTIME:
            shutil.copy2(runtime / name, made / name)
        manifest = Manifest(
            target=target,
            compiler=_run([str(mojo), "--version"]).strip(),
            commit=commit,
            sources_sha256=_sources_sha256(sources),
            oldest_driver=OLDEST_DRIVER,
            files={name: file_sha256(made / name) for name in (EXTENSION, *RUNTIME)},
        )
        (made / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    return manifest


def usable_bundle(named: Path | None, *, capability: str, driver: str) -> tuple[Path, Manifest]:
    """Returns the bundle that `--bundle` or the variable names, verified and fitted to this machine's GPU.

    Raises:
        UsageError: none is named, or it is not whole, or not for this GPU or driver.
    """
    folder = named or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if folder is None:
        raise UsageError(
            f"the Mojo kernel runs on a GPU from a bundle; none is named. Pass --bundle DIR or set {VARIABLE}; "
            "`moe-validation bundle --out DIR` makes one on any machine, with a GPU or without."
        )
    try:
        manifest = verify(folder.resolve())
        require_fit(manifest, capability=capability, driver=driver)
    except BundleError as error:
        raise UsageError(str(error)) from error
    return folder.resolve(), manifest


def gpu_compiler() -> tuple[Path, Path]:
    """Returns the first `mojo` that has MAX's GPU libraries beside it, and the folder of its runtime libraries.

    Raises:
        UsageError: there is none; the message has the line that brings it.
    """
    beside, found = Path(sys.executable).parent / "mojo", shutil.which("mojo")
    candidates = [path for path in (beside, Path(found) if found else None) if path is not None and path.is_file()]
    for mojo in candidates:
        for runtime in sorted(mojo.absolute().parent.parent.glob("lib/python3.*/site-packages/modular/lib")):
            if (runtime / "mojo" / "layout.mojoc").exists():
                return mojo, runtime
    seen = ", ".join(str(path) for path in candidates) or "no mojo at all"
    raise UsageError(
        f"the GPU kernel needs a `mojo` with MAX's libraries; found {seen}. Run: make setup "
        "(or pip install -c constraints.txt -e '.[kernel,gpu]')."
    )


def _compile(mojo: Path, sources: Path, extension: Path, target: str) -> None:
    command = [str(mojo), "build", "--target-accelerator", target, "-I", str(sources), "--emit", "shared-lib"]
    command += ["-Xlinker", "-rpath", "-Xlinker", "$ORIGIN", str(sources / "moe_gpu.mojo"), "-o", str(extension)]
    _run(command)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise UsageError(f"the GPU kernel must compile within {_TIMEOUT_S} s; `{' '.join(command)}` did not.") from None
    if done.returncode != 0:
        raise UsageError(f"the GPU kernel must compile; `{' '.join(command)}` said:\n{done.stderr[-2000:]}")
    return done.stdout


def _sources_sha256(sources: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(sources.rglob("*.mojo")):
        digest.update(f"{file.relative_to(sources)}\0{file_sha256(file)}\0".encode())
    return digest.hexdigest()
