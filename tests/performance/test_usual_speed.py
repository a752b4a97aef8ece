"""Calls at the usual speed, calibrated on a machine whose speed never stands still.

So two cores of a host with busy strangers looked for whole hours: the probes of a run spread evenly, by 10 % (standard
deviation of the logarithm, 3,500 probes), half of it within a second. Before (rules 5), only blocks between two probes
of 93 % of the speed that one in five exceeds counted: 526 of 1,754, and of 21 baselines none kept five pairs of twelve.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from validation.performance.sample import Block, ProbeRule
from validation.performance.statistics import MIN_CALLS, accepts, mean_interval
from validation.performance.usual import MEDIAN, ONE_IN_FIVE, usual_speed

Floats = npt.NDArray[np.float64]

RUNS, PAIRS, BLOCKS = 2_000, 12, 10
SPREAD = 0.10
#: From a block to the next, which is some 50 ms later.
MEMORY = 0.9
PROBE_NOISE, CALL_NOISE, PROCESS_NOISE = 0.03, 0.02, 0.02
RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Log times of a block each, and log speeds of the probes around them: [runs, pairs, blocks]."""

    times: Floats
    before: Floats
    after: Floats


def seen(true_log: float, *, follows: float, seed: int) -> Seen:
    """One contender, whose time follows the cores' speed by the share `follows`: 1 for products, 0 for memory."""
    rng = np.random.default_rng(seed)
    shape = (RUNS, PAIRS, BLOCKS + 1)
    speed = np.empty(shape)
    speed[..., 0] = rng.normal(0, SPREAD, shape[:-1])
    for at in range(1, BLOCKS + 1):
        fresh = rng.normal(0, SPREAD * np.sqrt(1 - MEMORY**2), shape[:-1])
        speed[..., at] = MEMORY * speed[..., at - 1] + fresh
    of_block = (speed[..., :-1] + speed[..., 1:]) / 2
    own = rng.normal(0, PROCESS_NOISE, (RUNS, PAIRS, 1)) + rng.normal(0, CALL_NOISE, of_block.shape)
    probes = speed + rng.normal(0, PROBE_NOISE, shape)
    return Seen(times=true_log - follows * of_block + own, before=probes[..., :-1], after=probes[..., 1:])


def values(one: Seen, usual: Floats, *, share: float, at_usual_speed: bool) -> Floats:
    """The log value of each process by a rule; NaN where too few blocks count. `usual` is log [runs, 1, 1]."""
    counts = np.minimum(one.before, one.after) >= usual + np.log(share)
    speed = np.log((np.exp(one.before) + np.exp(one.after)) / 2) - usual
    times = np.where(counts, one.times + (speed if at_usual_speed else 0), np.nan)
    enough = counts.sum(axis=-1) >= MIN_CALLS
    found = np.full(enough.shape, np.nan)
    found[enough] = np.nanmedian(times[enough], axis=-1)
    return found


def interval(sides: tuple[Seen, Seen]) -> tuple[Floats, Floats]:
    """Of the log ratio, of the runs in which every pair counts: seven in eight; of others fewer pairs are left."""
    usual = usual_of(sides, MEDIAN)
    one, other = (values(side, usual, share=0.8, at_usual_speed=True) for side in sides)
    logs = one - other
    return mean_interval(logs[np.isfinite(logs).all(axis=-1)], resamples=RESAMPLES)


def usual_of(sides: tuple[Seen, Seen], quantile: float) -> Floats:
    probes = np.concatenate([side.before for side in sides] + [side.after for side in sides], axis=-1)
    return np.quantile(probes, quantile, axis=(-1, -2))[:, None, None]


@pytest.mark.parametrize("follows", [1.0, 0.5, 0.0])
def test_the_interval_covers_the_truth_whatever_the_baseline_is_bound_by(follows: float) -> None:
    sides = seen(np.log(2), follows=follows, seed=1), seen(0.0, follows=1.0, seed=2)
    low, high = interval(sides)
    assert 0.93 <= ((low <= np.log(2)) & (np.log(2) <= high)).mean() <= 0.975


def test_identical_code_is_called_different_in_about_five_percent_of_95_percent_intervals() -> None:
    sides = seen(0.0, follows=1.0, seed=3), seen(0.0, follows=1.0, seed=4)
    low, high = interval(sides)
    assert ((low > 0) | (high < 0)).mean() <= 0.07


def test_the_rule_before_left_most_runs_without_five_pairs() -> None:
    """What showed the old rule wrong: nothing is decided without five pairs."""
    sides = seen(0.0, follows=1.0, seed=5), seen(0.0, follows=1.0, seed=6)
    old = [values(side, usual_of(sides, ONE_IN_FIVE), share=0.93, at_usual_speed=False) for side in sides]
    new = [values(side, usual_of(sides, MEDIAN), share=0.8, at_usual_speed=True) for side in sides]
    pairs_before, pairs_now = (np.isfinite(one - other).sum(axis=-1) for one, other in (old, new))
    assert np.median(pairs_before) < 5
    assert np.median(pairs_now) == PAIRS


def test_taking_calls_as_they_are_would_say_as_little() -> None:
    """All blocks, with the time they took: right on average, and two to three times as wide."""
    sides = seen(0.0, follows=1.0, seed=7), seen(0.0, follows=1.0, seed=8)
    usual = usual_of(sides, MEDIAN)
    raw, scaled = (
        np.nanstd(
            values(sides[0], usual, share=0.8, at_usual_speed=on)
            - values(sides[1], usual, share=0.8, at_usual_speed=on)
        )
        for on in (False, True)
    )
    assert raw > 2.5 * scaled


def test_a_call_counts_with_its_time_at_the_usual_speed_on_a_cpu_and_as_it_is_on_a_gpu() -> None:
    block = Block(probe_before=90.0, probe_after=110.0, accepted=True, parent_ns=3000, calls_ns=(1000, 2000))
    assert ProbeRule.on("cpu", 100.0).counted_ns(block) == (1000, 2000)
    assert ProbeRule.on("cpu", 80.0).counted_ns(block) == (1250, 2500)
    assert ProbeRule.on("cuda", 80.0).counted_ns(block) == (1000, 2000)


def test_the_usual_speed_is_the_middle_one_on_a_cpu() -> None:
    speeds = [float(speed) for speed in range(101)]
    assert ProbeRule.of("cpu", speeds).usual_flop_per_s == usual_speed(speeds, MEDIAN) == 50.0
    assert ProbeRule.of("cuda", speeds).usual_flop_per_s == usual_speed(speeds, ONE_IN_FIVE) == 80.0


@pytest.mark.parametrize(("device", "speed", "counts"), [("cpu", 80, True), ("cpu", 79, False), ("cuda", 92, False)])
def test_what_ran_beside_a_slow_probe_does_not_count(device: str, speed: float, *, counts: bool) -> None:
    block = Block(probe_before=100.0, probe_after=speed, accepted=True, parent_ns=3, calls_ns=(1,))
    assert accepts(ProbeRule.on(device, 100.0), block) is counts
