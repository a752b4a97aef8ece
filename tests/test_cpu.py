"""The processor is read as Linux describes it on x86 and on aarch64, and unknown where it says nothing."""

from pathlib import Path

from validation.cpu import available_cores, read_cpu

X86 = (
    "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9R14\n"
    "stepping\t: 1\nflags\t\t: fma avx2\n\nprocessor\t: 1\nmodel name\t: another\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd40\n"


def _cpuinfo(folder: Path, text: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(text)
    return path


def _cache(folder: Path, index: int, level: str, kind: str, size: str) -> None:
    cache = folder / f"cpu{available_cores()[0]}" / "cache" / f"index{index}"
    cache.mkdir(parents=True)
    for name, value in {"level": level, "type": kind, "size": size}.items():
        (cache / name).write_text(f"{value}\n")


def test_an_x86_processor_is_the_first_of_the_list(tmp_path: Path) -> None:
    cpu = read_cpu(_cpuinfo(tmp_path, X86), tmp_path)
    assert (cpu.vendor, cpu.model) == ("AuthenticAMD", "AMD EPYC 9R14")
    assert cpu.family == "family 25 model 17 stepping 1"
    assert cpu.features == ("avx2", "fma")


def test_an_arm_processor_is_named_by_its_part(tmp_path: Path) -> None:
    cpu = read_cpu(_cpuinfo(tmp_path, ARM), tmp_path)
    assert (cpu.vendor, cpu.model, cpu.features) == ("0x41", "0xd40", ("asimd", "fp"))


def test_data_caches_count_and_the_instruction_cache_does_not(tmp_path: Path) -> None:
    _cache(tmp_path, 0, "1", "Data", "48K")
    _cache(tmp_path, 1, "1", "Instruction", "32K")
    _cache(tmp_path, 2, "2", "Unified", "1M")
    assert read_cpu(tmp_path / "none", tmp_path).caches == {"L1": 48 << 10, "L2": 1 << 20}


def test_a_system_that_says_nothing_gives_unknown(tmp_path: Path) -> None:
    cpu = read_cpu(tmp_path / "none", tmp_path)
    assert (cpu.vendor, cpu.model, cpu.family, cpu.features, cpu.caches) == ("unknown",) * 3 + ((), {})
