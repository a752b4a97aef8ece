"""The kernel under Mojo's own benchmark module: no Python, no harness of ours.

Usage: official_benchmark D_MODEL D_FF EXPERTS TOP_K TOKENS THREADS SECONDS

Prints the module's report, and last a line "mean_ns N" for whoever compares it. float32, ReLU, no biases: the
published layer. Batches take turns, as a harness's fresh inputs would find weights but not tokens in the cache.
"""

from std.benchmark import Unit, keep, run
from std.sys import argv

from moe.activation import RELU
from moe.forward import forward
from moe.layer import Layer
from moe.memory import Floats, allocate, at
from moe.pool import Pool
from moe.prepare import Weights, prepare

comptime BATCHES = 16
comptime WARM_CALLS = 20


def drawn(count: Int, scale: Float32, mut seed: UInt64) raises -> Int:
    """The address of `count` floats, even between -scale and scale (a linear congruence of Knuth's)."""
    var values = at[Float32](allocate(4 * count))
    for i in range(count):
        seed = seed * 6364136223846793005 + 1442695040888963407
        values[unsafe_offset=i] = scale * (Float32(Int(seed >> 40)) / Float32(1 << 23) - 1)
    return Int(values)


def main() raises:
    """One report."""
    var arguments = argv()
    if len(arguments) != 8:
        raise Error("usage: official_benchmark D_MODEL D_FF EXPERTS TOP_K TOKENS THREADS SECONDS")
    var d = Int(arguments[1])
    var f = Int(arguments[2])
    var experts = Int(arguments[3])
    var top_k = Int(arguments[4])
    var tokens = Int(arguments[5])
    var pool = Pool.start(Int(arguments[6]))
    var seconds = Float64(arguments[7])
    var seed = UInt64(1)
    var weights = Weights(
        router=drawn(d * experts, 1, seed),
        router_bias=0,
        correction=0,
        w1=drawn(experts * d * f, 0.1, seed),
        b1=0,
        w2=drawn(experts * f * d, 0.1, seed),
        b2=0,
        w_gate=0,
        shared_w1=0,
        shared_b1=0,
        shared_w2=0,
        shared_b2=0,
        shared_w_gate=0,
    )
    var layer = prepare[DType.float32](
        pool,
        Layer(
            pool=pool,
            d_model=d,
            d_ff=f,
            experts=experts,
            top_k=top_k,
            activation=RELU,
            gated=False,
            renormalize=True,
            router_kind=0,
            groups=1,
            top_groups=1,
            scaling=1,
            shared_d_ff=0,
            float32_router=False,
            dtype=0,
            tiles=False,
            packed=0,
            packed_bytes=0,
            router=0,
            router_bias=0,
            correction=0,
            first=0,
            first_bias=0,
            second=0,
            second_bias=0,
            shared_first=0,
            shared_first_bias=0,
            shared_second=0,
            shared_second_bias=0,
        ),
        weights,
    )
    var x = drawn(BATCHES * tokens * d, 1, seed)
    var output = allocate(4 * tokens * d)
    var batch = 0

    def call() raises {imm, mut batch}:
        forward[DType.float32](layer, x + 4 * batch * tokens * d, output, tokens, 0, 0, 0)
        batch = (batch + 1) % BATCHES

    var report = run(call, WARM_CALLS, 1, seconds, 2 * seconds)
    keep(at[Float32](output)[])
    report.print(Unit.us)
    print("mean_ns", Int(report.mean(Unit.ns)))
