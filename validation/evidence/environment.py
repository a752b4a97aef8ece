"""The machine and the software a run was made on, without anything that names its owner."""

from validation.record import Record


class Gpu(Record):
    """An accelerator as its driver describes it."""

    name: str
    memory_bytes: int
    driver: str
    compute_capability: str


class Environment(Record):
    """Everything about the machine that can change a figure.

    `machine` is a readable name, `fingerprint` a sha256 over the hardware fields: equal names with different
    fingerprints are different machines. Times are not comparable across fingerprints.
    """

    machine: str
    fingerprint: str
    cpu_model: str
    cpu_family: str
    cores: int
    threads_used: int
    memory_bytes: int
    caches: dict[str, int]
    cpu_features: tuple[str, ...]
    governor: str
    virtualized: str
    os: str
    kernel: str
    libc: str
    python: str
    packages: dict[str, str]
    compilers: dict[str, str]
    compiler_flags: dict[str, str]
    dropped_variables: tuple[str, ...] = ()
    gpu: Gpu | None = None
