"""Why a verdict is what it is: codes a machine can read. The sentence beside each is in the finding's explanation."""

from enum import StrEnum


class Reason(StrEnum):
    """One per way a verdict can come about."""

    BELOW_FLOOR = "below_floor"
    UNTESTABLE = "untestable"
    NO_GPU = "no_gpu"
    WORKLOAD_NOT_RECORDED = "workload_not_recorded"
    CANDIDATE_NOT_MEASURED = "candidate_not_measured"
    BASELINE_NOT_MEASURED = "baseline_not_measured"
    LOAD_NOT_MEASURED = "load_not_measured"
    FIGURE_NOT_RECORDED = "figure_not_recorded"
    FASTER_THAN_FLOOR = "faster_than_floor"
    CORRECTNESS_FAILED = "correctness_failed"
    INTEGRITY_FAILED = "integrity_failed"
    KNOWS_TOKENS = "knows_tokens"
    TIMED_OUTPUT_WRONG = "timed_output_wrong"
    PROCESS_DIED = "process_died"
    BASELINE_WRONG = "baseline_wrong"
    CORRECTNESS_NOT_CHECKED = "correctness_not_checked"
    TOO_FEW_PAIRS = "too_few_pairs"
    TOO_FEW_CALLS = "too_few_calls"
    NO_NULL = "no_null"
    NULL_DIFFERS = "null_differs"
    INTERVAL_TOO_WIDE = "interval_too_wide"
    BOUND_INSIDE_INTERVAL = "bound_inside_interval"
    BOUND_MET = "bound_met"
    EXCEEDS_RANGE = "exceeds_range"
    BOUND_MISSED = "bound_missed"
    STRONGER_BASELINE = "stronger_baseline"
