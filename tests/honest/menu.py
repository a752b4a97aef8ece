"""The honest menu: kernels that nothing may reject. Each file stands alone, as a user's does."""

from pathlib import Path
from typing import Final

from validation.implementations.implementation import Implementation
from validation.implementations.kernel_spec import parse_kernel

_KERNELS: Final = Path(__file__).parent / "kernels"

#: Three written differently: what they compute is the same, and little else is.
HONEST: Final[dict[str, Implementation]] = {
    name: parse_kernel(str(_KERNELS / f"{name}.py")) for name in ("dense", "sorted_pairs", "loop_module")
}
