"""The state of a GPU at one moment, as its driver tells it."""

from validation.record import Record


class GpuState(Record):
    """Clocks, power, temperature, and why the driver holds the clocks down; nothing of it is ever set from here.

    `throttled` names the reasons: "power cap" is the chip at its limit, as large matmuls are; the others are the
    machine's.
    """

    sm_mhz: int
    memory_mhz: int
    power_w: float
    temperature_c: int
    throttled: tuple[str, ...] = ()
