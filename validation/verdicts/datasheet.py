"""What a GPU's maker says it can do: a measured ceiling may fall short of the hardware, and a floor must not."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasheet:
    """Dense peaks at boost clock in FLOP/s, memory bandwidth in byte/s, last-level cache in bytes.

    `float32` is the larger of plain FMA and a third of TF32: three TF32 products give a float32 one.
    """

    name: str
    float32: float
    half: float
    memory: float
    cache_bytes: int
    source: str

    def peak(self, dtype: str) -> float:
        """FLOP/s of products of `dtype` with float32 accumulation."""
        return self.float32 if dtype == "float32" else self.half


#: By the part of the name that the driver reports; variants of a part are judged by its fastest.
_SHEETS: Final = (
    Datasheet(
        name="H200",
        float32=164.9e12,
        half=989.4e12,
        memory=4.8e12,
        cache_bytes=60 << 20,
        source="NVIDIA H200 datasheet 2024; L2 as the driver reports it",
    ),
    Datasheet(
        name="H100",
        float32=164.9e12,
        half=989.4e12,
        memory=3.35e12,
        cache_bytes=50 << 20,
        source="NVIDIA H100 datasheet 2023, SXM5; the PCIe parts are below it",
    ),
    Datasheet(
        name="A100",
        float32=52.0e12,
        half=312.0e12,
        memory=2.039e12,
        cache_bytes=40 << 20,
        source="NVIDIA A100 datasheet 2021, SXM4 80 GB",
    ),
)


def find(gpu: str) -> Datasheet | None:
    """Returns the datasheet of the GPU that its driver calls `gpu`; None when it is not known here."""
    return next((sheet for sheet in _SHEETS if sheet.name in gpu), None)
