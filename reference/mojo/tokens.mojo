"""What MAX has no operation for on a CPU: which experts a token goes to, and its rows' way there and back.

Plain Mojo, on MAX's threads.
"""

from max.algorithm import sync_parallelize
from std.math import exp
from std.memory import unsafe_memcpy
from std.runtime import parallelism_level
from std.sys import simd_width_of

from layer import Layer, at

comptime LANES = simd_width_of[DType.float32]()


def choose(layer: Layer, tokens: Int, logits: Int, ids: Int, weights: Int):
    """`ids` and `weights` [tokens, top_k], heaviest first, ties to the lowest id; over all experts, or the chosen."""

    def part(task: Int) {imm}:
        for token in range(first_of(task, tokens), first_of(task + 1, tokens)):
            var scores = at[Float32](logits).unsafe_offset(token * layer.experts)
            var chosen = at[Int64](ids).unsafe_offset(token * layer.top_k)
            var shares = at[Float32](weights).unsafe_offset(token * layer.top_k)
            var total = Float32(0)
            var top = Float32.MIN
            for expert in range(layer.experts):
                top = max(top, scores[unsafe_offset=expert])
            for expert in range(layer.experts):
                total += exp(scores[unsafe_offset=expert] - top)
            var kept = Float32(0)
            for rank in range(layer.top_k):
                var best = -1
                for expert in range(layer.experts):
                    var taken = False
                    for earlier in range(rank):
                        taken = taken or Int(chosen[unsafe_offset=earlier]) == expert
                    if not taken and (best < 0 or scores[unsafe_offset=expert] > scores[unsafe_offset=best]):
                        best = expert
                chosen[unsafe_offset=rank] = Int64(best)
                shares[unsafe_offset=rank] = exp(scores[unsafe_offset=best] - top)
                kept += shares[unsafe_offset=rank]
            for rank in range(layer.top_k):
                shares[unsafe_offset=rank] /= kept if layer.renormalize else total

    sync_parallelize(part, parallelism_level())


def dispatch(layer: Layer, slots: Int, ids: Int, first: Int, row_of_slot: Int):
    """`first` [experts + 1] is where each expert's rows begin, `row_of_slot` where each slot's row is: a counting sort.
    """
    var begins = at[Int64](first)
    var chosen = at[Int64](ids)
    for expert in range(layer.experts + 1):
        begins[unsafe_offset=expert] = 0
    for slot in range(slots):
        begins[unsafe_offset=Int(chosen[unsafe_offset=slot]) + 1] += 1
    for expert in range(layer.experts):
        begins[unsafe_offset=expert + 1] += begins[unsafe_offset=expert]
    # Every count goes from where its expert begins to where it ends, which is where the next one begins.
    for slot in range(slots):
        var expert = Int(chosen[unsafe_offset=slot])
        at[Int64](row_of_slot)[unsafe_offset=slot] = begins[unsafe_offset=expert]
        begins[unsafe_offset=expert] += 1
    for expert in range(layer.experts, 0, -1):
        begins[unsafe_offset=expert] = begins[unsafe_offset=expert - 1]
    begins[unsafe_offset=0] = 0


def gather(layer: Layer, slots: Int, x: Int, rows: Int, row_of_slot: Int, row_bytes: Int):
    """`rows` are the tokens of all slots in the order of `row_of_slot`."""

    def part(task: Int) {imm}:
        for slot in range(first_of(task, slots), first_of(task + 1, slots)):
            var row = Int(at[Int64](row_of_slot)[unsafe_offset=slot])
            unsafe_memcpy(
                dest=at[UInt8](rows + row * row_bytes),
                src=at[UInt8](x + slot // layer.top_k * row_bytes),
                count=row_bytes,
            )

    sync_parallelize(part, parallelism_level())


def combine[dtype: DType](layer: Layer, tokens: Int, answers: Int, row_of_slot: Int, weights: Int, output: Int):
    """`output` [tokens, d] is each token's weighted sum, its best expert first."""

    def part(task: Int) {imm}:
        for token in range(first_of(task, tokens), first_of(task + 1, tokens)):
            var target = at[Scalar[dtype]](output).unsafe_offset(token * layer.d)

            @always_inline
            def element[width: Int](column: Int) {imm}:
                var total = SIMD[DType.float32, width](0)
                for rank in range(layer.top_k):
                    var slot = token * layer.top_k + rank
                    var row = Int(at[Int64](row_of_slot)[unsafe_offset=slot])
                    var answer = at[Float32](answers).unsafe_load[width=width](row * layer.d + column)
                    total = SIMD[DType.float32, width](at[Float32](weights)[unsafe_offset=slot]).fma(answer, total)
                target.unsafe_store(column, total.cast[dtype]())

            var whole = layer.d // LANES * LANES
            for column in range(0, whole, LANES):
                element[LANES](column)
            for column in range(whole, layer.d):
                element[1](column)

    sync_parallelize(part, parallelism_level())


@always_inline
def first_of(task: Int, things: Int) -> Int:
    """The first thing of a task, where tasks share things out evenly."""
    return task * things // parallelism_level()
