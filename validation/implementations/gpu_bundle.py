"""The GPU bundle: a folder with the compiled kernel and all it needs, which runs where no Mojo is installed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path  # noqa: TC003 - used at run time too

from validation.usage import UsageError

TARGET = "sm_90a"
EXTENSION = "moe_gpu.so"
RUNTIME = (
    "libAsyncRTMojoBindings.so",
    "libAsyncRTRuntimeGlobals.so",
    "libKGENCompilerRTShared.so",
    "libMSupportGlobals.so",
)
"""The libraries the extension loads; they find each other through their own `$ORIGIN`."""
MANIFEST = "manifest.json"
OLDEST_DRIVER = 580
"""Major version of the oldest NVIDIA driver the kernel has run on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle is: the target it was compiled for, the compiler, and the SHA-256 of each file."""

    target: str
    compiler: str
    oldest_driver: int
    files: dict[str, str]


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build_bundle(source: Path, out: Path, *, mojo: Path, target: str = TARGET) -> Manifest:
    """Compiles `source`/moe_gpu.mojo into a relocatable bundle at `out`; takes two minutes and no GPU.

    Raises:
        UsageError: The target is not sm_90a, the compiler lacks MAX's libraries, or it fails.
    """
    if target != TARGET:
        raise UsageError(f"The GPU kernel is written for {TARGET} (Hopper); --target was {target}. Pass {TARGET}.")
    runtime = mojo.resolve().parent.parent / "lib" / f"python{_python_of(mojo)}" / "site-packages" / "modular" / "lib"
    if not (runtime / "mojo" / "layout.mojoc").exists():
        raise UsageError(
            f"The GPU kernel needs MAX's libraries beside Mojo; {runtime} has none. Run: pip install max==26.7.0"
        )
    out.mkdir(parents=True, exist_ok=True)
    command = [str(mojo), "build", "--target-accelerator", target, "-I", str(source), "--emit", "shared-lib"]
    command += ["-Xlinker", "-rpath", "-Xlinker", "$ORIGIN", str(source / "moe_gpu.mojo"), "-o", str(out / EXTENSION)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise UsageError(f"The GPU kernel must compile; mojo said:\n{built.stderr[-2000:]}")
    for name in RUNTIME:
        shutil.copy2(runtime / name, out / name)
    version = subprocess.run([str(mojo), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    manifest = Manifest(
        target=target,
        compiler=version,
        oldest_driver=OLDEST_DRIVER,
        files={name: sha256(out / name) for name in (EXTENSION, *RUNTIME)},
    )
    (out / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    return manifest


def _python_of(mojo: Path) -> str:
    """The version in the name of the library folder beside the compiler."""
    folders = sorted((mojo.resolve().parent.parent / "lib").glob("python3.*"))
    if not folders:
        raise UsageError(f"Mojo must come from a virtual environment; {mojo} is in none.")
    return folders[-1].name.removeprefix("python")


def verify_bundle(bundle: Path) -> Manifest:
    """The manifest of a bundle whose files are what it says.

    Raises:
        UsageError: The folder is no bundle, or a file is missing or was changed.
    """
    path = bundle / MANIFEST
    if not path.exists():
        raise UsageError(f"A GPU bundle holds {MANIFEST}; {bundle} does not. Make one: moe-validation bundle --out DIR")
    try:
        manifest = Manifest(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} must be a bundle's manifest; {error}. Make the bundle again.") from error
    for name in (EXTENSION, *RUNTIME):
        if name not in manifest.files:
            raise UsageError(f"{path} must list {name}; it does not. Make the bundle again.")
    for name, expected in manifest.files.items():
        if not (bundle / name).is_file():
            raise UsageError(f"The bundle must hold {name}; {bundle} does not. Copy it whole.")
        found = sha256(bundle / name)
        if found != expected:
            raise UsageError(f"{bundle / name} must have SHA-256 {expected}; it has {found}. Copy the bundle again.")
    return manifest


def require_fit(manifest: Manifest, *, capability: tuple[int, int], driver: str) -> None:
    """Says whether a bundle runs on a GPU.

    Raises:
        UsageError: The GPU is of another architecture, or its driver is older than any the kernel has run on.
    """
    here = f"sm_{capability[0]}{capability[1]}"
    if manifest.target.rstrip("a") != here:
        raise UsageError(
            f"The bundle was compiled for {manifest.target}; this GPU is {here}. The kernel needs a Hopper GPU."
        )
    if int(driver.split(".", 1)[0]) < manifest.oldest_driver:
        raise UsageError(
            f"The bundle needs NVIDIA driver {manifest.oldest_driver} or newer; this machine has {driver}."
        )
