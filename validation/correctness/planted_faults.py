"""The planted faults: which check must catch each, and by what.

Each is a kernel file as a user would write it, in planted/faults/; `by_steps.py` there is the honest one they are made
from.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from validation.correctness.spec import PLAIN, Check, LayerVariant

FOLDER: Final = Path(__file__).parents[2] / "planted" / "faults"

_BIASED = LayerVariant(bias=True, router_bias=True)
_GELU = LayerVariant(activation="gelu", bias=True, router_bias=True)
_GATED = LayerVariant(activation="silu", gated=True)
_RAW = LayerVariant(renormalize=False)
_SIGMOID = LayerVariant(router="sigmoid")
_GROUPED = LayerVariant(router="sigmoid", n_groups=8, top_groups=3)
_SHARED = LayerVariant(shared_d_ff=1040)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The check that must catch it, a word of the message, and the dtype and variant it shows in."""

    check: Check
    by: str
    dtype: str = "float32"
    variant: LayerVariant = PLAIN
    lowest_id_wins: bool = False


FAULTS: Final[dict[str, Fault]] = {
    "activation_dropped": Fault(check=Check.RANDOM, by="elementwise"),
    "added_to_the_sum": Fault(check=Check.ROUTER, by="effective_bits"),
    "batch_statistics": Fault(check=Check.SPLIT, by="elementwise"),
    "bf16_accumulation": Fault(check=Check.RANDOM, by="effective_bits"),
    "bf16_for_f16": Fault(check=Check.RANDOM, by="effective_bits", dtype="float16"),
    "bf16_inputs": Fault(check=Check.RANDOM, by="effective_bits"),
    "bf16_router": Fault(check=Check.RANDOM, by="routing"),
    "bias_applied_twice": Fault(check=Check.RANDOM, by="elementwise", variant=_BIASED),
    "capacity_drop": Fault(check=Check.RANDOM, by="elementwise"),
    "counts_in_16_bits": Fault(check=Check.RANDOM, by="token 4465"),
    "decoding_drops_faint": Fault(check=Check.FAINT, by="elementwise"),
    "decoding_overflows": Fault(check=Check.ROUTER, by="finite"),
    "decoding_swallows_nan": Fault(check=Check.NONFINITE, by="must not be finite"),
    "dispatch_off_by_one": Fault(check=Check.RANDOM, by="elementwise"),
    "dropped_k_tail": Fault(check=Check.PERMUTATION, by="elementwise"),
    "dropped_last_hidden": Fault(check=Check.EXACT, by="bitwise"),
    "empty_expert_unwritten": Fault(check=Check.RANDOM, by="finite"),
    "even_passes": Fault(check=Check.RANDOM, by="elementwise"),
    "experts_in_seven_bits": Fault(check=Check.RANDOM, by="elementwise"),
    "f16_hidden": Fault(check=Check.RANDOM, by="effective_bits"),
    "f8_hidden": Fault(check=Check.RANDOM, by="effective_bits", dtype="bfloat16"),
    "faint_experts_dropped": Fault(check=Check.FAINT, by="elementwise"),
    "features_side_by_side": Fault(check=Check.STRIDED, by="strides"),
    "first_layer_kept": Fault(check=Check.SEVERAL_LAYERS, by="layer 2"),
    "four_shares_of_room": Fault(check=Check.RANDOM, by="elementwise"),
    "gate_on_wrong_branch": Fault(check=Check.RANDOM, by="elementwise", variant=_GATED),
    "gelu_tanh_for_erf": Fault(check=Check.RANDOM, by="effective_bits", variant=_GELU),
    "half_of_the_groups": Fault(check=Check.RANDOM, by="elementwise", variant=_GROUPED),
    "highest_id_wins": Fault(check=Check.EXACT_TIES, by="routing", lowest_id_wins=True),
    "ids_in_a_byte": Fault(check=Check.RANDOM, by="elementwise"),
    "index_overflow": Fault(check=Check.RANDOM, by="token 65536"),
    "input_changed": Fault(check=Check.RANDOM, by="its input x"),
    "large_batch_tail": Fault(check=Check.RANDOM, by="elementwise"),
    "large_capacity_drop": Fault(check=Check.RANDOM, by="elementwise"),
    "last_expert_skipped": Fault(check=Check.RANDOM, by="elementwise"),
    "last_layer_for_all": Fault(check=Check.SEVERAL_LAYERS, by="again"),
    "list_of_eight": Fault(check=Check.RANDOM, by="elementwise"),
    "lone_token_by_chance": Fault(check=Check.REPEAT, by="differs from call 1"),
    "lone_token_of_many": Fault(check=Check.RANDOM, by="elementwise"),
    "long_sums_by_chance": Fault(check=Check.REPEAT, by="differs from call 1"),
    "maximum_begins_at_zero": Fault(check=Check.ROUTER, by="finite"),
    "middle_lengths": Fault(check=Check.LENGTHS, by="elementwise"),
    "missing_b2": Fault(check=Check.RANDOM, by="elementwise", variant=_BIASED),
    "missing_router_bias": Fault(check=Check.RANDOM, by="elementwise", variant=_BIASED),
    "nan_spreads": Fault(check=Check.NONFINITE, by="finite"),
    "nan_spreads_in_many": Fault(check=Check.NONFINITE, by="finite"),
    "nan_swallowed": Fault(check=Check.NONFINITE, by="must not be finite"),
    "no_renormalisation": Fault(check=Check.RANDOM, by="elementwise"),
    "no_tokens_crash": Fault(check=Check.RANDOM, by="IndexError"),
    "offsets_in_16_bits": Fault(check=Check.RANDOM, by="elementwise"),
    "one_group_closed": Fault(check=Check.RANDOM, by="elementwise", variant=_GROUPED),
    "one_percent_misrouted": Fault(check=Check.RANDOM, by="elementwise"),
    "one_percent_off": Fault(check=Check.RANDOM, by="effective_bits"),
    "one_row_over_a_tile": Fault(check=Check.RANDOM, by="elementwise"),
    "one_token_lost": Fault(check=Check.RANDOM, by="token 9999"),
    "packed_by_address": Fault(check=Check.SEVERAL_LAYERS, by="layer"),
    "prefill_by_chance": Fault(check=Check.REPEAT, by="differs from call 1"),
    "prefill_drops_faint": Fault(check=Check.FAINT, by="elementwise"),
    "prefill_in_bf16": Fault(check=Check.RANDOM, by="effective_bits"),
    "prefill_in_tf32": Fault(check=Check.RANDOM, by="effective_bits"),
    "prefill_overflows": Fault(check=Check.ROUTER, by="finite"),
    "prefill_packed_by_shape": Fault(check=Check.SEVERAL_LAYERS, by="layer 2"),
    "prefill_padding_nan": Fault(check=Check.SCALE, by="finite"),
    "prefill_router_in_bf16": Fault(check=Check.FAINT, by="elementwise"),
    "prefill_scaled_by_the_batch": Fault(check=Check.SCALE, by="elementwise"),
    "prefill_slices_overwrite": Fault(check=Check.RANDOM, by="elementwise"),
    "prefill_strides_ignored": Fault(check=Check.STRIDED, by="strides"),
    "prefill_sums_in_bf16": Fault(check=Check.RANDOM, by="elementwise", dtype="bfloat16"),
    "race": Fault(check=Check.REPEAT, by="differs from call 1"),
    "raises_after_nan": Fault(check=Check.NONFINITE, by="an earlier batch"),
    "renormalised_always": Fault(check=Check.RANDOM, by="elementwise", variant=_RAW),
    "repeated_ids": Fault(check=Check.RANDOM, by="distinct"),
    "ring_of_four_layers": Fault(check=Check.SEVERAL_LAYERS, by="again"),
    "ring_of_two_layers": Fault(check=Check.SEVERAL_LAYERS, by="again"),
    "room_of_the_first_call": Fault(check=Check.SKEWED, by="elementwise"),
    "round_widths": Fault(check=Check.RANDOM, by="elementwise"),
    "rows_left_over": Fault(check=Check.SHRINKING, by="elementwise"),
    "scaled_by_the_batch": Fault(check=Check.SCALE, by="elementwise"),
    "second_pass_late": Fault(check=Check.RANDOM, by="elementwise"),
    "second_pass_of_32_mib": Fault(check=Check.RANDOM, by="elementwise"),
    "sequential_bf16_sums": Fault(check=Check.RANDOM, by="elementwise", dtype="bfloat16"),
    "shared_slices_overwrite": Fault(check=Check.RANDOM, by="elementwise", variant=_SHARED),
    "silu_overflows": Fault(check=Check.SCALE, by="finite", variant=_GATED),
    "six_candidates_of_a_block": Fault(check=Check.RANDOM, by="elementwise"),
    "sixth_choice_forgotten": Fault(check=Check.RANDOM, by="elementwise"),
    "slices_overwrite": Fault(check=Check.RANDOM, by="elementwise"),
    "softmax_overflow": Fault(check=Check.ROUTER, by="finite"),
    "stale_output": Fault(check=Check.REPEAT, by="elementwise"),
    "strides_ignored": Fault(check=Check.STRIDED, by="strides"),
    "sum_kept_from_zero": Fault(check=Check.ROUTER, by="elementwise", variant=_SIGMOID),
    "swapped_weights": Fault(check=Check.RANDOM, by="elementwise"),
    "tail_of_eleven": Fault(check=Check.LENGTHS, by="elementwise"),
    "tf32": Fault(check=Check.RANDOM, by="effective_bits"),
    "three_bf16_products": Fault(check=Check.RANDOM, by="effective_bits"),
    "transposed_w2": Fault(check=Check.RANDOM, by="elementwise"),
    "truncated_batch": Fault(check=Check.RANDOM, by="elementwise"),
    "unsorted_top_k": Fault(check=Check.RANDOM, by="elementwise"),
    "weights_in_24_bits": Fault(check=Check.RANDOM, by="effective_bits"),
    "weights_in_groups": Fault(check=Check.SCALE, by="effective_bits", dtype="bfloat16"),
    "weights_told_wrong": Fault(check=Check.RANDOM, by="weights"),
    "wide_hidden_cut": Fault(check=Check.RANDOM, by="elementwise"),
    "wrong_dtype": Fault(check=Check.RANDOM, by="the output must be"),
    "wrong_magnitude": Fault(check=Check.RANDOM, by="elementwise"),
    "zero_tokens_nan": Fault(check=Check.SCALE, by="finite"),
    "zeros": Fault(check=Check.EXACT, by="bitwise"),
}
