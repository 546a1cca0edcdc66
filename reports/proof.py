"""What repeated drills prove, and whether they became slower: the arithmetic of the gate, with its assumptions.

Both take each drill as an independent try of the same system. A release that behaves differently every time, or
drills that share a lucky hour, prove less than is said here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
ENOUGH_PER_SIDE = 30
"""The exact test is made of at most so many runs a side, the newest: its cost grows with their product."""


def reliability(passes: int, tries: int, confidence: float = CONFIDENCE) -> float:
    """The least share of such drills that pass, at one-sided confidence: Clopper and Pearson's lower bound.

    n passes of n: (1 - confidence)^(1/n), so 1 pass proves 5 %, 3 prove 37 %, 59 prove 95 %. 0.0 without a pass.
    ValueError for counts that are none.
    """
    if not 0 <= passes <= tries:
        raise ValueError(f"{passes} passes of {tries} tries")
    if not passes:
        return 0.0
    if passes == tries:
        return float((1.0 - confidence) ** (1.0 / tries))
    from scipy.special import betaincinv  # half a second to import: only the gate pays for it

    return float(betaincinv(passes, tries - passes + 1, 1.0 - confidence))


def passes_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """How many passes in a row prove that at least `share` (0 < share < 1) of such drills pass."""
    return max(1, math.ceil(math.log(1.0 - confidence) / math.log(share)))


def statement(passes: int, tries: int) -> str:
    """What the drills prove, in a sentence."""
    if not tries:
        return "no drill counts, so nothing is proven"
    if not passes:
        return f"0 of {tries} passed: nothing is proven"
    least = reliability(passes, tries)
    more = "" if least >= 0.9 else f"; 90 % would take {passes_needed(0.9)} passes in a row"
    return (
        f"{passes} of {tries} passed: at {CONFIDENCE:.0%} confidence at least {math.floor(least * 1000) / 10:g} % of "
        f"such drills pass, if they are independent{more}"
    )


@dataclass(frozen=True)
class Drift:
    """Whether an objective's figure became worse than in earlier releases.

    now, earlier: how many runs there are of each; p: of the one-sided exact Mann-Whitney test, None when there are
    too few to tell whatever they say; alpha: what p is held against (shared among the objectives, by Bonferroni).
    """

    objective: str
    now: int
    earlier: int
    p: float | None
    alpha: float

    @property
    def worse(self) -> bool:
        """Whether it is shown to be worse."""
        return self.p is not None and self.p <= self.alpha

    def __str__(self) -> str:
        runs = f"{self.now} runs against {self.earlier} of earlier releases"
        if self.p is None:
            return f"{self.objective}: {runs}: too few to tell at {self.alpha:.3g}"
        told = "worse" if self.worse else "not shown to be worse"
        test = f"Mann-Whitney, one-sided, p = {self.p:.3g}, held against {self.alpha:.3g}"
        return f"{self.objective}: {runs}: {told} ({test})"


def drift(
    objective: str, now: Sequence[tuple[float, float]], earlier: Sequence[tuple[float, float]], alpha: float
) -> Drift:
    """Compare measured intervals (low, high in target seconds, high may be infinite) with those of earlier releases.

    The lower bounds now are held against the upper bounds of then: worse is said only if it is worse however the
    measurements fell within their bounds.
    """
    xs = [low for low, _ in now[-ENOUGH_PER_SIDE:]]
    ys = [high for _, high in earlier[-ENOUGH_PER_SIDE:]]
    if not xs or not ys or 1.0 / math.comb(len(xs) + len(ys), len(xs)) > alpha:
        return Drift(objective, len(now), len(earlier), None, alpha)
    from scipy.stats import mannwhitneyu

    # Ties (bounds of 0, never recovered) make the exact distribution conservative: they count half for each side.
    p = float(mannwhitneyu(xs, ys, alternative="greater", method="exact").pvalue)
    return Drift(objective, len(now), len(earlier), None if math.isnan(p) else p, alpha)
