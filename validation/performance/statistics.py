"""Estimates and intervals from process values: pure functions, the same for every contender.

The unit of evidence is the process, never the call: calls of one process share its memory layout, its page colours and
its moment, so pooling them calls identical code different (Kalibera and Jones 2013; Mytkowicz et al. 2009). A process
is worth one number, the median of its accepted calls; a pair of processes of one round is worth one log ratio.

Everything is computed on logarithms: the mean log ratio is symmetric in what is called the baseline, and the interval
of a rate is exactly the inverse of the interval of its time.

Sources: Georges et al. 2007 (process-level replication); Hoefler and Belli 2015 (rules 4-8: geometric mean of ratios,
intervals, quantiles); Efron 1987 (BCa); Hahn and Meeker 1991 section 5.2 (order-statistic intervals of a quantile).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from validation.performance.sample import SEEN_THEN, Block, ProbeRule, Series

Floats = npt.NDArray[np.float64]

#: Level of every interval a verdict is based on, before Bonferroni.
CONFIDENCE: Final = 0.95
#: Level of the A/A null: one honest run in a hundred is called noisy.
NULL_CONFIDENCE: Final = 0.99
#: Bootstrap resamples; the 2.5 % tail then rests on 250 of them.
RESAMPLES: Final = 10_000
#: Seed of the resampling, fixed so that an interval is a function of its samples.
BOOTSTRAP_SEED: Final = 20_240_629
#: Fewer accepted calls give a process no value: a median of two is a mean, which one stolen call moves.
MIN_CALLS: Final = 3
#: Fewer values give no interval: one difference has no spread.
MIN_VALUES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value, its interval, and how many process values (or pairs) they rest on."""

    value: float
    low: float
    high: float
    count: int

    @property
    def half_width(self) -> float:
        """Half the interval as a share of the estimate: 0.03 is 3 %."""
        return (self.high - self.low) / 2 / self.value

    def stretched(self, factor: float) -> "Estimate":
        """The same value with an interval `factor` times as wide, on the logarithm."""
        low, high = (self.value * (end / self.value) ** factor for end in (self.low, self.high))
        return Estimate(value=self.value, low=low, high=high, count=self.count)

    def inverse(self, scale: float = 1.0) -> "Estimate":
        """`scale / value`: a rate from a time. The ends change places."""
        return Estimate(value=scale / self.value, low=scale / self.high, high=scale / self.low, count=self.count)

    def times(self, factor: float) -> "Estimate":
        """The same quantity in another unit."""
        return Estimate(value=self.value * factor, low=self.low * factor, high=self.high * factor, count=self.count)


def accepts(rule: ProbeRule | None, block: Block) -> bool:
    """Whether a block counts: nothing was seen amiss, and the rule that was fixed before the first sample accepts it.

    Without a rule (nothing was probed) what was seen decides alone. Calls that last longer than the parent waited never
    count, whatever the block says of itself.
    """
    if block.reason in SEEN_THEN or sum(block.calls_ns) > block.parent_ns:
        return False
    return rule is None or not rule.objection(block.probe_before, block.probe_after, block.others_share)


def accepted_calls(series: Series, rule: ProbeRule | None) -> tuple[int, ...]:
    """What each call that counts does count with, in ns and in their order, by the rule and not by the stored flag."""
    return tuple(ns for block in series.blocks if accepts(rule, block) for ns in counted_ns(rule, block))


def counted_ns(rule: ProbeRule | None, block: Block) -> tuple[int, ...]:
    """What the block's calls count with, if they do; without a rule, with what they took."""
    return block.calls_ns if rule is None else rule.counted_ns(block)


def process_value(calls_ns: Sequence[int]) -> float | None:
    """The value of one process: the median of its accepted calls in nanoseconds; None below `MIN_CALLS`."""
    if len(calls_ns) < MIN_CALLS:
        return None
    median = float(np.median(calls_ns))
    return median if median > 0 else None


def mean_interval(
    values: npt.ArrayLike, confidence: float = CONFIDENCE, *, resamples: int = RESAMPLES
) -> tuple[Floats, Floats]:
    """Ends of the interval of the mean over the last axis: the union of Student's t and the BCa bootstrap.

    t is right for normal values and few pairs, where the bootstrap is too narrow; BCa follows skewed values, where t is
    off centre. Their union is at least as wide as either. Values that are all equal give an interval of no width, and
    where BCa is undefined (two values) t stands alone.

    Args:
        values: [..., n] with n >= 2.
        confidence: of the interval, as a share.
        resamples: bootstrap resamples.

    Returns:
        Lower and upper ends, each of shape [...].
    """
    data = np.asarray(values, dtype=np.float64)
    n = data.shape[-1]
    if n < MIN_VALUES:
        msg = f"an interval needs at least {MIN_VALUES} values on the last axis; got shape {data.shape}"
        raise ValueError(msg)
    rows = data.reshape(-1, n)
    mean = rows.mean(axis=-1)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * rows.std(axis=-1, ddof=1) / np.sqrt(n)
    low, high = mean - half, mean + half
    varies = np.ptp(rows, axis=-1) > 0
    low[~varies] = high[~varies] = mean[~varies]
    if n > MIN_VALUES and varies.any():
        ends = _bca(rows[varies], confidence, resamples)
        low[varies] = np.fmin(low[varies], ends[0])  # fmin ignores the NaN of an undefined BCa
        high[varies] = np.fmax(high[varies], ends[1])
    return low.reshape(data.shape[:-1]), high.reshape(data.shape[:-1])


def ratio(
    baseline_ns: Sequence[float], candidate_ns: Sequence[float], confidence: float = CONFIDENCE
) -> Estimate | None:
    """How many times faster the candidate is, from paired process values: `exp` of the mean log ratio.

    Args:
        baseline_ns: process values of the baseline, one per round.
        candidate_ns: process values of the candidate, of the same rounds in the same order.
        confidence: of the interval, as a share.

    Returns:
        The estimate; None with fewer than two pairs.
    """
    if len(baseline_ns) != len(candidate_ns):
        msg = (
            f"values are paired by round; got {len(baseline_ns)} of the baseline, {len(candidate_ns)} of the candidate"
        )
        raise ValueError(msg)
    logs = np.log(baseline_ns) - np.log(candidate_ns)
    return _exponential(tuple(logs.tolist()), confidence)


def level(values_ns: Sequence[float], confidence: float = CONFIDENCE) -> Estimate | None:
    """The typical time of one call over processes: the geometric mean of the process values, in nanoseconds.

    Returns:
        The estimate; None with fewer than two processes.
    """
    return _exponential(tuple(np.log(values_ns).tolist()), confidence)


def quantile(
    calls_by_process: Sequence[Sequence[int]], share: float, confidence: float = CONFIDENCE
) -> Estimate | None:
    """A latency quantile over whole processes, in nanoseconds, without assuming a distribution.

    The estimate is the order statistic of all calls. The interval is the union of the binomial order-statistic interval
    of all calls (which takes them as independent) and the interval over the processes' own quantiles (which does not).

    Args:
        calls_by_process: accepted calls of each process, whole processes only.
        share: the quantile, 0.95 for P95.
        confidence: of the interval, as a share.

    Returns:
        The estimate, counted in calls; None when there are too few calls for both ends to exist (72 for P95 at 95 %) or
        fewer than two processes.
    """
    pooled = np.sort(np.asarray([ns for calls in calls_by_process for ns in calls], dtype=np.float64))
    ranks = quantile_ranks(len(pooled), share, confidence)
    processes = [calls for calls in calls_by_process if len(calls) >= MIN_CALLS]
    if ranks is None or len(processes) < MIN_VALUES:
        return None
    own = [max(float(np.quantile(calls, share, method="inverted_cdf")), 1.0) for calls in processes]
    between = level(own, confidence)
    assert between is not None
    value = float(np.quantile(pooled, share, method="inverted_cdf"))
    return Estimate(
        value=value,
        low=min(float(pooled[ranks[0]]), between.low, value),
        high=max(float(pooled[ranks[1]]), between.high, value),
        count=len(pooled),
    )


def quantile_ranks(n: int, share: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Zero-based ranks of the order statistics that enclose a quantile of n independent samples.

    The number of samples below the quantile is binomial(n, share); each end leaves out at most half of what the
    confidence leaves. None when n is too small for one of the ends: `share ** n` must not exceed that half.
    """
    if n == 0:
        return None
    tail = (1 - confidence) / 2
    below = stats.binom(n, share)
    # Rank l (from 0) exceeds the quantile with probability P(below <= l): the largest l for which that is <= tail.
    low = int(below.ppf(tail))
    while low >= 0 and below.cdf(low) > tail:
        low -= 1
    # Rank u lies below the quantile with probability P(below > u): the smallest u for which that is <= tail.
    high = int(below.ppf(1 - tail))
    return (low, high) if low >= 0 and high < n and below.sf(high) <= tail else None


def bonferroni(confidence: float, comparisons: int) -> float:
    """The level each of several intervals needs so that all hold together at `confidence`."""
    return 1 - (1 - confidence) / max(comparisons, 1)


@lru_cache(maxsize=4096)
def _exponential(logs: tuple[float, ...], confidence: float) -> Estimate | None:
    """Remembered: each baseline's interval is asked for by every reading of its workload, and takes 3 ms."""
    if len(logs) < MIN_VALUES:
        return None
    low, high = mean_interval(logs, confidence)
    return Estimate(
        value=float(np.exp(np.mean(logs))), low=float(np.exp(low)), high=float(np.exp(high)), count=len(logs)
    )


def _bca(data: Floats, confidence: float, resamples: int) -> tuple[Floats, Floats]:
    """BCa ends over the last axis; NaN where undefined, of which scipy would warn."""
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (data,),
            np.mean,
            axis=-1,
            confidence_level=confidence,
            n_resamples=resamples,
            batch=max(1, 20_000_000 // max(data.size, 1)),
            method="BCa",
            rng=np.random.default_rng(BOOTSTRAP_SEED),
        )
    interval = result.confidence_interval
    return np.asarray(interval.low), np.asarray(interval.high)
