"""How a verdict is shown: by a glyph, a word and a colour, so that no one of them carries it alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from validation.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One verdict's look and its meaning in plain words. `marker` is matplotlib's."""

    css: str
    glyph: str
    word: str
    colour: str
    marker: str
    meaning: str


#: Dark enough for 4.5:1 on white, and told apart by lightness as well as by hue. In the order they are listed.
MARKS: Final[Mapping[Verdict, Mark]] = {
    Verdict.CONFIRMED: Mark(
        css="confirmed",
        glyph="✓",
        word="confirmed",
        colour="#0b6e4f",
        marker="s",
        meaning="The whole 95 % interval reaches what was claimed, less the 5 % declared beforehand.",
    ),
    Verdict.CONFIRMED_WEAK_BASELINE: Mark(
        css="weak",
        glyph="≈",
        word="weak baseline",
        colour="#1f5f8b",
        marker="D",
        meaning="Reached, but only against a baseline that is slower than another one measured in the same run.",
    ),
    Verdict.REFUTED: Mark(
        css="refuted",
        glyph="×",
        word="refuted",
        colour="#b3261e",
        marker="X",
        meaning="The whole 95 % interval misses what was claimed by more than 5 %.",
    ),
    Verdict.IMPOSSIBLE: Mark(
        css="impossible",
        glyph="Ø",
        word="impossible",
        colour="#6a1b4d",
        marker="P",
        meaning="No program can reach it on this machine: the claimed time is below the least time that the "
        "measured peak arithmetic and memory bandwidth allow.",
    ),
    Verdict.INCONCLUSIVE: Mark(
        css="inconclusive",
        glyph="?",
        word="inconclusive",
        colour="#8a5a00",
        marker="o",
        meaning="The evidence is too noisy or too little to decide either way.",
    ),
    Verdict.INVALID: Mark(
        css="invalid",
        glyph="!",
        word="invalid",
        colour="#93000a",
        marker="v",
        meaning="The kernel gave wrong answers or failed an integrity check, so its speed counts for nothing.",
    ),
    Verdict.HARNESS_FAULT: Mark(
        css="fault",
        glyph="↻",
        word="harness fault",
        colour="#5d4300",
        marker="^",
        meaning="A measurement contradicts physics or the clocks contradict each other: measure again.",
    ),
    Verdict.NOT_TESTED: Mark(
        css="untested",
        glyph="–",
        word="not tested",
        colour="#545d69",
        marker="h",
        meaning="Nothing was measured for it here, for the reason given.",
    ),
}

#: Verdicts that say yes or no; the others leave the question open.
HOLDS: Final = frozenset({Verdict.CONFIRMED})
FAILS: Final = frozenset({Verdict.REFUTED, Verdict.IMPOSSIBLE, Verdict.INVALID})
