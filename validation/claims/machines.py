"""Physical machines that a published rate is set against when the text names none.

Peaks are computed from the makers' data at the highest clock they state, so that no machine is sold short: cores x
clock x FLOP per cycle, where a core with two 512-bit FMA units does 64 float32 FLOP per cycle, and one with two of 256
bits 32.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine and its float32 peak in FLOP/s."""

    name: str
    flop_per_s: float
    source: str


MACHINES: Final = (
    Machine(
        name="a 16-core desktop CPU (Ryzen 9 7950X)",
        flop_per_s=16 * 5.7e9 * 32,
        source="AMD product page: 16 cores, 5.7 GHz boost, Zen 4",
    ),
    Machine(
        name="a 96-core server CPU (EPYC 9654)",
        flop_per_s=96 * 3.7e9 * 32,
        source="AMD product page: 96 cores, 3.7 GHz boost, Zen 4",
    ),
    Machine(
        name="the largest x86 CPU (EPYC 9965)",
        flop_per_s=192 * 3.7e9 * 64,
        source="AMD product page: 192 cores, 3.7 GHz boost, Zen 5c with 512-bit units",
    ),
    Machine(
        name="one H200 without tensor cores",
        flop_per_s=66.9e12,
        source="NVIDIA H200 datasheet: 67 TFLOP/s float32",
    ),
    Machine(
        name="one H200 in bfloat16",
        flop_per_s=989.4e12,
        source="NVIDIA H200 datasheet: 989 TFLOP/s bfloat16, dense",
    ),
)
