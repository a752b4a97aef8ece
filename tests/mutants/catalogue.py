"""Textual mutants of the Mojo kernel's sources: one thing wrong in each, as a slip of the pen would have it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`old` becomes `new` in `file`; `occurrence` says which `old`, from 0, where there are several.

    `equivalent` says why no input can tell the mutant from the kernel, where none can. `cpu` is a feature, as
    /proc/cpuinfo names it, without which the compiler leaves the changed lines out.
    """

    name: str
    file: str
    old: str
    new: str
    occurrence: int = 0
    equivalent: str = ""
    cpu: str = ""


def _of(file: str, *mutants: tuple[str, str, str] | tuple[str, str, str, int], cpu: str = "") -> tuple[Mutant, ...]:
    return tuple(
        Mutant(name=m[0], file=f"moe/{file}.mojo", old=m[1], new=m[2], occurrence=m[3] if len(m) > 3 else 0, cpu=cpu)
        for m in mutants
    )


MUTANTS: tuple[Mutant, ...] = (
    *_of(
        "choice",
        ("groups worth their best alone", "(_value(second) if size > 1 else 0)", "0"),
        (
            "a group too many",
            "for _ in range(layer.top_groups)",
            "for _ in range(min(layer.groups, layer.top_groups + 1))",
        ),
        ("correction forgotten", " + at[Float32](layer.correction).unsafe_load[width=LANES](e)", ""),
        ("softmax weights not scaled", "/ sum * layer.scaling", "/ sum"),
        (
            "sigmoid weights not scaled",
            "weights[unsafe_offset=rank] = share * layer.scaling",
            "weights[unsafe_offset=rank] = share",
        ),
        ("sigmoid always renormalised", "/ sum if layer.renormalize else weights[unsafe_offset=rank]", "/ sum"),
        ("padding logits are zero", "Vec(Float32.MIN))\n        logits", "Vec(0))\n        logits"),
        (
            "padding experts eligible",
            "exists.select(order_keys(values), SIMD[DType.int32, LANES](TAKEN))",
            "order_keys(values)",
        ),
        ("chosen expert chosen again", "eq(id).select(Keys(TAKEN), left)", "eq(id).select(left, left)"),
        (
            "softmax total not shifted",
            "total += exp(logits.unsafe_load[width=LANES](e) - top)",
            "total += exp(logits.unsafe_load[width=LANES](e))",
        ),
        (
            "softmax share not shifted",
            "exp(logits[unsafe_offset=Int(ids[unsafe_offset=rank])] - top)",
            "exp(logits[unsafe_offset=Int(ids[unsafe_offset=rank])])",
        ),
        ("raw weights renormalised", "sum = total.reduce_add()", "sum += 0 * total.reduce_add()"),
        ("negative logits backwards", "bits ^ ((bits >> 31) & 0x7FFFFFFF)", "bits"),
        (
            "ties to the highest id",
            "select(places, Keys(Int32.MAX)).reduce_min()",
            "select(places, Keys(-1)).reduce_max()",
        ),
        ("weights not divided", "weights[unsafe_offset=rank] / sum", "weights[unsafe_offset=rank]"),
        (
            "one expert too few",
            "for rank in range(top_k):\n        var best",
            "for rank in range(max(1, top_k - 1)):\n        var best",
        ),
    ),
    *_of(
        "routing",
        (
            "last token of a tile unrouted",
            "min(rows, self.work.tokens - first)",
            "max(1, min(rows, self.work.tokens - first) - 1)",
        ),
        (
            "router bias of the first panel",
            "self.layer.router_bias).unsafe_offset(p * LANES)",
            "self.layer.router_bias).unsafe_offset(0)",
        ),
        ("router weights of the first panel", "self.layer.router + p * panel_bytes", "self.layer.router"),
    ),
    *_of(
        "dispatch",
        ("cursor not moved", "cursors[unsafe_offset=e] = place + 1", "cursors[unsafe_offset=e] = place"),
        ("neighbour's token", "Int32(token)", "Int32(max(token - 1, 0))"),
        ("slots not sorted back", "[unsafe_offset=slot] = Int32(place)", "[unsafe_offset=slot] = Int32(slot)"),
        ("single last row lost", "while first < end:", "while first + 1 < end:"),
        (
            "neighbour's expert",
            "[unsafe_offset=3 * count + 2] = Int32(e)",
            "[unsafe_offset=3 * count + 2] = Int32(max(e - 1, 0))",
        ),
        (
            "block beyond its expert",
            "min(left, round_up((left + count_left - 1) // count_left, tile_rows[dtype]()))",
            "round_up((left + count_left - 1) // count_left, tile_rows[dtype]())",
        ),
    ),
    *_of(
        "combine",
        ("last rank left out", "for rank in range(self.layer.top_k):", "for rank in range(self.layer.top_k - 1):"),
        (
            "best weight for all",
            "at[Float32](self.work.weights)[unsafe_offset=slot]",
            "at[Float32](self.work.weights)[unsafe_offset=token * self.layer.top_k]",
        ),
        ("writes past the row", "if j + LANES <= d:", "if j < d:"),
        ("last element unwritten", "for lane in range(d - j):", "for lane in range(d - j - 1):"),
        (
            "last token of a ticket unwritten",
            "min(first + TOKENS_PER_TICKET, self.work.tokens)",
            "min(first + TOKENS_PER_TICKET - 1, self.work.tokens)",
        ),
        ("ranks not summed", ".fma(result, sum)", ".fma(result, Vec(0))"),
    ),
    *_of(
        "forward",
        ("every pass reads the first tokens", "work.x = x + offset", "work.x = x"),
        ("every pass writes the first tokens", "work.output = output + offset", "work.output = output"),
        ("every pass tells the first ids", "expert_ids + 4 * done * layer.top_k", "expert_ids"),
    ),
    *_of(
        "activation",
        ("relu of the absolute value", "x.lt(0).select(Vec(0), x)", "abs(x)"),
        ("gelu a little narrow", "erf(x * 0.7071067811865476)", "erf(x * 0.7071)"),
        ("gelu_tanh a little flat", "0.044715", "0.0447"),
        ("silu the wrong way", "exp(-x)", "exp(x)"),
        ("gate added", "(first * second)", "(first + second)"),
        ("second vector not activated", "activate[kind](second)", "second"),
    ),
    *_of(
        "experts",
        ("sums restarted", "var start = bias if step == 0 else c", "var start = bias"),
        (
            "sums of a slice restarted",
            "var start = bias if step == 0 else c",
            "var start = bias if step == first else c",
        ),
        ("relu of partial sums", "        if last:", "        if True:"),
    ),
    *_of(
        "panels",
        (
            "first expert's first bias",
            "at[Float32](layer.first_bias).unsafe_offset(expert * count * PANEL)",
            "at[Float32](layer.first_bias)",
        ),
        (
            "first expert's second bias",
            "at[Float32](layer.second_bias).unsafe_offset(expert * count * PANEL)",
            "at[Float32](layer.second_bias)",
        ),
        ("first expert's w2", "layer.second + expert * count * panel_bytes[dtype](layer.d_ff)", "layer.second"),
    ),
    *_of(
        "schedule",
        (
            "last panels of hidden left out",
            "min(panel + PANELS_PER_TICKET, panels)",
            "min(panel + PANELS_PER_TICKET, panels - 1)",
            0,
        ),
        (
            "last panels of output left out",
            "min(panel + PANELS_PER_TICKET, panels)",
            "min(panel + PANELS_PER_TICKET, panels - 1)",
            1,
        ),
        (
            "block's last row not gathered",
            "gather_rows[Self.dtype](self.layer, self.work, first, rows, Int(inputs))",
            "gather_rows[Self.dtype](self.layer, self.work, first, rows - 1, Int(inputs))",
        ),
        (
            "a ticket's last row not gathered",
            "var count = min(ROWS_PER_TICKET, self.work.slots - first)",
            "var count = min(ROWS_PER_TICKET - 1, self.work.slots - first)",
        ),
    ),
    *_of(
        "tile",
        ("sums do not start from the bias", "begin.unsafe_load[width=LANES](i * start_stride + j * LANES)", "Vec(0)"),
        ("rows between tall and low tiles", "var above = taller * (height + 1)", "var above = taller * height"),
        (
            "last step left out",
            "var total = known_steps if known_steps > 0 else steps",
            "var total = max(1, steps - 1)",
        ),
        ("a group of steps too few", "else total // STEPS_AT_ONCE", "else (total - 1) // STEPS_AT_ONCE"),
        ("first row's activations", "row[unsafe_offset=i * lda]", "row[unsafe_offset=0]"),
    ),
    *_of("amx", ("registers a row short", "UInt8(ROWS)", "UInt8(ROWS - 1)"), cpu="amx_bf16"),
    *_of(
        "amx_matmul",
        ("lower rows not computed", "if count > ROWS:", "if count > AMX_ROWS:"),
        ("lower rows read from the upper", "a.unsafe_offset(ROWS * lda)", "a"),
        ("both columns with the first weights", "load_tile[7](weights.unsafe_offset(LANES)", "load_tile[7](weights"),
        ("last product left out", "range(1, products)", "range(1, max(1, products - 1))"),
        ("sums in the wrong corner", "multiply_add[3, 5, 7]()", "multiply_add[2, 5, 7]()"),
        ("last row of the rest not copied", "for i in range(count):", "for i in range(count - 1):"),
        ("last row not activated", "min(done + share, self.stored.rows)", "min(done + share, self.stored.rows - 1)"),
        ("next sums over the last ones", "slot = AMX_SUMS // 2 - slot", "slot = 0"),
        ("last block left behind", "    pipeline.drain()", "    pipeline.store()"),
        ("bias taken for none", "step == 0 and _is_empty(start)", "step == 0"),
        (
            "sums stored over the upper ones",
            "store_tile[2](before.unsafe_offset(ROWS * ldc), ldc)",
            "store_tile[2](before, ldc)",
        ),
        cpu="amx_bf16",
    ),
    *_of(
        "prepare",
        (
            "first expert's w1",
            "at[Scalar[Self.dtype]](self.weights.w1).unsafe_offset(expert * d * f)",
            "at[Scalar[Self.dtype]](self.weights.w1)",
        ),
        (
            "gate and up exchanged",
            "pack_panel[Self.dtype](gate, column, up, column, d, f, packed, stride)",
            "pack_panel[Self.dtype](up, column, gate, column, d, f, packed, stride)",
        ),
        (
            "b1 added to the gate",
            "bias[unsafe_offset=lane] = 0\n",
            "bias[unsafe_offset=lane] = _element[Self.dtype](self.weights.b1, column + lane, expert, f)\n",
        ),
        (
            "b2 of the neighbouring panel",
            "self.weights.b2, panel * PANEL + lane, expert, d",
            "self.weights.b2, lane, expert, d",
        ),
    ),
    *_of(
        "pack",
        (
            "last step not filled up",
            "for rest in range(count, terms[dtype](count)):",
            "for rest in range(count, count):",
        ),
        cpu="avx512_bf16",
    ),
    *_of(
        "pack",
        ("copies leave out the last feature", "while j < count:", "while j < count - 1:"),
        ("columns beyond the matrix", "var inside = lane < width and row < k", "var inside = row < k"),
        ("last column zero", "var width = min(LANES, n - column)", "var width = min(LANES, n - column - 1)"),
    ),
    *_of(
        "workspace",
        (
            "workspace for half the slots",
            "var results = _take(end, (slots + shared_rows + spare_rows[dtype]()) * ld_results * 4)",
            "var results = _take(end, (slots + shared_rows + spare_rows[dtype]()) * ld_results * 2)",
        ),
    ),
    *_of(
        "pool",
        (
            "does not wait for the others",
            "& INSIDE == 0:\n                    return",
            "& INSIDE >= 0:\n                    return",
        ),
        (
            "tickets given twice",
            "self._counter(TICKET)[].fetch_add(1)",
            "self._counter(TICKET)[].load() + 0 * self._counter(TICKET)[].fetch_add(1)",
        ),
    ),
    Mutant(
        name="negative zero below zero",
        file="moe/choice.mojo",
        old="(values + 0)",
        new="(values)",
        equivalent="sums start from +0, and +0 plus -0 is +0: no logit is -0",
    ),
    Mutant(
        name="relu swallows NaN",
        file="moe/activation.mojo",
        old="x.lt(0).select(Vec(0), x)",
        new="max(x, Vec(0))",
        equivalent="a token with a NaN has NaN logits, so NaN weights: its output is NaN whatever its hidden units are",
    ),
)
