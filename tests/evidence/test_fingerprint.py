"""Equal hardware has an equal fingerprint, other hardware another, and no owner is named."""

import getpass
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from validation.cpu import Cpu
from validation.evidence.environment import Gpu
from validation.evidence.fingerprint import collect_environment, fingerprint, machine_name, parse_gpu

GIB = 1 << 30
CPU = Cpu(
    vendor="AuthenticAMD",
    model="AMD EPYC",
    family="family 26 model 2 stepping 1",
    features=("avx2", "fma"),
    caches={"L1": 49152},
    cores=(0, 1),
)
GPU = Gpu(name="NVIDIA H200", memory_bytes=141 * GIB, driver="580.1", compute_capability="9.0")


def test_a_model_without_a_number_is_named_by_its_family() -> None:
    assert machine_name(CPU, None) == "AMD EPYC family 26 model 2, 2 cores"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "Intel Xeon Platinum 8481C, 2 cores"),
        ("AMD EPYC 9R14 96-Core Processor", "AMD EPYC 9R14, 2 cores"),
    ],
)
def test_a_model_is_named_without_its_decoration(model: str, name: str) -> None:
    assert machine_name(replace(CPU, model=model), None) == name


def test_a_machine_is_named_with_its_accelerator() -> None:
    assert machine_name(replace(CPU, cores=(0,)), GPU).endswith("1 core, NVIDIA H200")


def test_a_few_mebibytes_more_are_the_same_machine() -> None:
    assert fingerprint(CPU, GPU, 24 * GIB, "x") == fingerprint(CPU, GPU, 24 * GIB - (90 << 20), "x")


def test_another_driver_is_the_same_machine() -> None:
    newer = GPU.model_copy(update={"driver": "590.2"})
    assert fingerprint(CPU, GPU, 24 * GIB, "x") == fingerprint(CPU, newer, 24 * GIB, "x")


@pytest.mark.parametrize(
    "other",
    [
        {"model": "AMD EPYC 2"},
        {"features": ("avx2",)},
        {"caches": {"L1": 32768}},
        {"cores": (0, 1, 2)},
        {"family": "family 25 model 2 stepping 1"},
    ],
)
def test_other_hardware_is_another_machine(other: dict[str, object]) -> None:
    changed = Cpu(**({name: getattr(CPU, name) for name in Cpu.__slots__} | other))
    assert fingerprint(changed, None, 24 * GIB, "x") != fingerprint(CPU, None, 24 * GIB, "x")


def test_an_accelerator_makes_another_machine() -> None:
    assert fingerprint(CPU, GPU, 24 * GIB, "x") != fingerprint(CPU, None, 24 * GIB, "x")


def test_the_environment_is_the_same_each_time_it_is_collected() -> None:
    assert collect_environment(2) == collect_environment(2)


def test_the_environment_names_no_owner() -> None:
    text = collect_environment(2).model_dump_json()
    for private in (socket.gethostname(), str(Path.home()), str(Path.cwd()), f'"{getpass.getuser()}"'):
        if len(private) > 3:
            assert private not in text


def test_variables_that_tune_libraries_are_listed_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "a-secret-value")
    environment = collect_environment(2)
    assert "OPENBLAS_CORETYPE" in environment.dropped_variables
    assert "a-secret-value" not in environment.model_dump_json()


def test_the_driver_answer_is_read() -> None:
    gpu = parse_gpu("NVIDIA H200, 143771, 580.95.05, 9.0\nNVIDIA H200, 143771, 580.95.05, 9.0\n")
    assert gpu is not None
    assert (gpu.name, gpu.memory_bytes, gpu.compute_capability) == ("NVIDIA H200", 143771 << 20, "9.0")


@pytest.mark.parametrize("answer", ["", "No devices were found", "NVIDIA H200, [N/A], 1, 2"])
def test_a_driver_without_a_device_is_no_accelerator(answer: str) -> None:
    assert parse_gpu(answer) is None
