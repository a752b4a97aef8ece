"""The cheats: which gate must catch each.

Each is a kernel file as a user would write it, in planted/cheats/; `honest_layer.py` there is the honest one they are
made from. `answers_on_disk` needs a file beside it, which `bring_answers` writes.
"""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "planted" / "cheats"

CHEATS: Final[dict[str, str]] = {
    "ahead_of_one": "does_its_own_work",
    "all_but_one": "every_output_right",
    "answers_on_disk": "same_time_for_old_and_new",
    "calls_reference": "keeps_to_itself",
    "catches_up_at_the_end": "nothing_after_return",
    "changes_affinity": "settings_unchanged",
    "changes_scheduling": "settings_unchanged",
    "changes_threads": "settings_unchanged",
    "clock_of_one_ahead": "clocks_agree",
    "clock_of_one_call": "clocks_agree",
    "clock_of_the_harness": "clocks_agree",
    "clock_of_the_machine": "clocks_agree",
    "clock_of_the_module": "clocks_agree",
    "clock_of_the_results": "clocks_agree",
    "defers_its_work": "does_its_own_work",
    "flushes_denormals": "settings_unchanged",
    "forks": "keeps_to_itself",
    "forks_unheard": "keeps_to_itself",
    "honest_at_first": "every_output_right",
    "honest_when_alone": "every_output_right",
    "keeps_warm": "nothing_after_return",
    "kills": "keeps_to_itself",
    "lazy_tensor": "answers_to_the_end",
    "leaves_a_process": "keeps_to_itself",
    "leaves_unmarked": "keeps_to_itself",
    "lies_about_threads": "settings_unchanged",
    "memo_by_address": "every_output_right",
    "memo_by_content": "same_time_for_old_and_new",
    "memo_by_id": "every_output_right",
    "memo_by_part": "every_output_right",
    "memo_by_place": "same_time_for_old_and_new",
    "memo_by_row": "same_time_for_old_and_new",
    "memo_by_shape": "every_output_right",
    "memo_by_sum": "every_output_right",
    "memo_for_a_third": "same_time_for_old_and_new",
    "memo_of_one": "same_time_for_old_and_new",
    "memo_while_timed": "same_time_for_old_and_new",
    "mutates_input": "inputs_unchanged",
    "opens_the_baselines": "keeps_to_itself",
    "opens_unheard": "keeps_to_itself",
    "overruns": "guards_held",
    "patches_the_harness": "settings_unchanged",
    "reads_the_parent": "keeps_to_itself",
    "rounds_down": "settings_unchanged",
    "sleeps_in_prepare": "prepare_does_not_sleep",
    "slows_the_probe": "nothing_after_return",
    "stale_output": "every_output_right",
    "stops_the_clock": "above_the_floor",
    "takes_out_the_hook": "settings_unchanged",
    "thread_after_return": "nothing_after_return",
    "work_in_copy": "clocks_agree",
    "works_ahead": "does_its_own_work",
    "works_ahead_in_part": "does_its_own_work",
    "works_before_the_clock": "keeps_to_itself",
    "writes_results": "answers_to_the_end",
}
