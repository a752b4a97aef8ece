"""A ruling: a verdict with its reason code and one plain sentence, from the numbers alone."""

from dataclasses import dataclass
from typing import Final

from validation.performance.statistics import Estimate
from validation.verdicts.verdict import Verdict

#: The margin declared beforehand: a claim of c is tested at c (1 - delta). A promise of ours gets none.
DELTA: Final = 0.05
#: A claimed time below this share of the floor is impossible; the rest is the ceilings' own uncertainty.
IMPOSSIBLE_SHARE: Final = 0.95
#: An interval with a wider half than this share of its estimate decides nothing.
MOST_HALF_WIDTH: Final = 0.03
#: Fewer pairs decide nothing, however close they agree.
LEAST_PAIRS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What follows, why (a code for machines), and the same in words."""

    verdict: Verdict
    reason: str
    explanation: str


def rule_noise(estimate: Estimate, null: Estimate | None) -> Ruling | None:
    """Inconclusive when the run could not tell a kernel from itself, or this quantity from its neighbours."""
    if estimate.count < LEAST_PAIRS:
        told = f"only {estimate.count} rounds were measured to the end; at least {LEAST_PAIRS} are needed"
        return Ruling(verdict=Verdict.INCONCLUSIVE, reason="too_few_pairs", explanation=f"{_upper(told)}.")
    if null is not None and not null.low <= 1.0 <= null.high:
        return Ruling(
            verdict=Verdict.INCONCLUSIVE,
            reason="noise_null",
            explanation=(
                f"The candidate compared with itself came out as {null.value:.3f}x [{null.low:.3f}, {null.high:.3f}] "
                "(99 %), which excludes 1: the machine was too unsteady."
            ),
        )
    if estimate.half_width > MOST_HALF_WIDTH:
        return Ruling(
            verdict=Verdict.INCONCLUSIVE,
            reason="interval_too_wide",
            explanation=(
                f"The interval's half-width is {100 * estimate.half_width:.1f} % of the estimate; at most "
                f"{100 * MOST_HALF_WIDTH:.0f} % decide."
            ),
        )
    return None


def rule_bound(estimate: Estimate, bound: float, *, at_least: bool, margin: float) -> Ruling:
    """Confirmed when the whole interval meets the bound less the margin, refuted when the whole interval misses it."""
    tested = bound * (1.0 - margin) if at_least else bound * (1.0 + margin)
    met = estimate.low >= tested if at_least else estimate.high <= tested
    missed = estimate.high < tested if at_least else estimate.low > tested
    if met:
        return Ruling(verdict=Verdict.CONFIRMED, reason="interval_meets", explanation="The whole interval meets it.")
    if missed:
        return Ruling(verdict=Verdict.REFUTED, reason="interval_misses", explanation="The whole interval misses it.")
    return Ruling(
        verdict=Verdict.INCONCLUSIVE, reason="interval_straddles", explanation="The interval lies on both sides of it."
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
