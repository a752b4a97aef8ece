"""Cheats that only a GPU makes possible, or that have another form there: which gate must catch each."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "kernels"

CHEATS: Final[dict[str, str]] = {
    "lower_precision": "settings_unchanged",
    "memo_by_content": "every_output_right",
    "memo_by_shape": "every_output_right",
    "mutates_input": "inputs_unchanged",
    "overruns": "guards_held",
    "patched_events": "settings_unchanged",
    "side_stream": "clocks_agree",
}
