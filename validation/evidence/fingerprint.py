"""Collects the environment: every fact of machine and software that can change a figure, none that names its owner."""

import hashlib
import json
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from validation.cpu import SYS_CPU, Cpu, read_cpu, total_memory
from validation.evidence.environment import Environment, Gpu
from validation.implementations.inherited import dropped_variables
from validation.performance.probe import FLAGS

OS_RELEASE: Final = Path("/etc/os-release")
UNKNOWN: Final = "unknown"
#: What computes, times or judges. Everything else that is installed changes no figure.
PACKAGES: Final = ("max", "mojo", "mojo-compiler", "numpy", "pydantic", "scipy", "threadpoolctl", "torch", "weasyprint")
COMPILERS: Final = ("gcc", "g++", "clang", "clang++")
_GIB: Final = 1 << 30
_GPU_QUERY: Final = "--query-gpu=name,memory.total,driver_version,compute_cap"


def collect_environment(threads: int) -> Environment:
    """Returns the environment of a run with `threads` threads on this machine."""
    cpu = read_cpu()
    gpu = read_gpu()
    memory = total_memory()
    virtualized = "hypervisor" if "hypervisor" in cpu.features else "none seen"
    return Environment(
        machine=machine_name(cpu, gpu),
        fingerprint=fingerprint(cpu, gpu, memory, virtualized),
        cpu_model=cpu.model,
        cpu_family=cpu.family,
        cores=len(cpu.cores),
        threads_used=threads,
        memory_bytes=memory,
        caches=cpu.caches,
        cpu_features=cpu.features,
        governor=_governor(cpu.cores[0]),
        virtualized=virtualized,
        os=_os_name(OS_RELEASE),
        kernel=platform.release(),
        libc=" ".join(platform.libc_ver()).strip() or UNKNOWN,
        python=platform.python_version(),
        packages=_packages(),
        compilers=_compilers(),
        compiler_flags={"probe": " ".join(FLAGS)},
        dropped_variables=dropped_variables(),
        gpu=gpu,
    )


def machine_name(cpu: Cpu, gpu: Gpu | None) -> str:
    """Returns a name a reader can say: the model, the family where the model does not tell, cores and accelerator."""
    model = re.sub(r"\((R|TM|r|tm)\)|\bCPU\b|\bProcessor\b|@.*$|\b\d+-Core\b", " ", cpu.model)
    model = " ".join(model.split()) or UNKNOWN
    if not re.search(r"\d", model):
        model += " " + re.sub(r" stepping \S+$", "", cpu.family)
    cores = f"{len(cpu.cores)} core{'' if len(cpu.cores) == 1 else 's'}"
    return ", ".join([model, cores, *([gpu.name] if gpu else [])])


def fingerprint(cpu: Cpu, gpu: Gpu | None, memory_bytes: int, virtualized: str) -> str:
    """Returns the sha256 over the hardware, software left out: times are comparable only where it is the same.

    Memory counts in whole GiB, as kernels keep a few MiB more or less for themselves.
    """
    hardware = {
        "architecture": platform.machine(),
        "vendor": cpu.vendor,
        "model": cpu.model,
        "family": cpu.family,
        "features": cpu.features,
        "caches": cpu.caches,
        "cores": len(cpu.cores),
        "memory_gib": round(memory_bytes / _GIB),
        "virtualized": virtualized,
        "gpu": None if gpu is None else [gpu.name, gpu.memory_bytes, gpu.compute_capability],
    }
    return hashlib.sha256(json.dumps(hardware, sort_keys=True).encode()).hexdigest()


def read_gpu() -> Gpu | None:
    """Returns the first NVIDIA GPU as its driver describes it, None without one."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return None
    answer = _answer([smi, _GPU_QUERY, "--format=csv,noheader,nounits"])
    return None if answer is None else parse_gpu(answer)


def parse_gpu(answer: str) -> Gpu | None:
    """Returns the GPU of the first line of `nvidia-smi`'s answer, None where it lists none."""
    fields = [field.strip() for field in answer.partition("\n")[0].split(",")]
    if len(fields) != _GPU_QUERY.count(",") + 1 or not fields[1].isdigit():
        return None
    name, mebibytes, driver, capability = fields
    return Gpu(name=name, memory_bytes=int(mebibytes) << 20, driver=driver, compute_capability=capability)


def _governor(core: int) -> str:
    try:
        return (SYS_CPU / f"cpu{core}/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return UNKNOWN


def _os_name(release: Path) -> str:
    try:
        found = re.search(r'^PRETTY_NAME="?([^"\n]*)', release.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.system()


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _compilers() -> dict[str, str]:
    answers = {name: _answer([path, "-dumpfullversion"]) for name in COMPILERS if (path := shutil.which(name))}
    return {name: answer.strip() for name, answer in answers.items() if answer}


def _answer(command: list[str]) -> str | None:
    """What a command prints, None where it fails; a driver that hangs must not hang the run."""
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return outcome.stdout if outcome.returncode == 0 else None
