"""What the pictures say by colour is said to colour-blind readers too.

Colour blindness is simulated in linear RGB by Machado, Oliveira and Fernandes ("A Physiologically-based Model for
Simulation of Color Vision Deficiency", 2009, severity 1.0); distances are CIE 1976 in CIELAB, where 2.3 is the least
that an eye tells apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest

from drill.verdict import Verdict
from reports.ink import COLOURS, HATCHES, OKABE_ITO
from reports.page import COLOURS as VERDICTS

VISION = {
    "usual": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)
APART = 12.0
"""Five times what an eye tells apart: two bands that do not touch."""
TOGETHER = {
    "where": ("primary", "standby", "observer", "elsewhere", "mixed"),
    "how": ("good", "bad", "warn", "unknown"),
    "state": ("active", "off"),
}
"""Kinds of bands that share a lane."""


def distance(one: str, other: str, vision: str) -> float:
    """How far apart two colours ("#rrggbb") are to a reader of that vision, CIE 1976."""
    return math.dist(_lab(_seen(one, vision)), _lab(_seen(other, vision)))


def _seen(colour: str, vision: str) -> list[float]:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return [min(1.0, max(0.0, _dot(row, linear))) for row in VISION[vision]]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _lab(linear: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (_bent(_dot(row, linear) / white) for row, white in zip(XYZ, WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _bent(share: float) -> float:
    return share ** (1 / 3) if share > 216 / 24389 else (24389 / 27 * share + 16) / 116


def test_the_distance_is_that_of_the_colour_spaces() -> None:
    """Black and white are 100 apart to everybody; pure red and green nearly agree to who lacks the green cones."""
    assert all(distance("#000000", "#ffffff", vision) == pytest.approx(100, abs=0.1) for vision in VISION)
    assert distance("#ff0000", "#00ff00", "usual") == pytest.approx(170.6, abs=0.5)
    assert distance("#c08000", "#80a000", "deuteranopia") < APART < distance("#c08000", "#80a000", "usual")


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("lane", TOGETHER)
def test_bands_of_one_lane_differ_in_colour_or_in_hatching_to_every_reader(lane: str, vision: str) -> None:
    """Regions in one lane, outcomes in one lane, states in one lane."""
    alike = [
        (one, other)
        for one, other in itertools.combinations(TOGETHER[lane], 2)
        if HATCHES.get(one) == HATCHES.get(other)
        and distance(OKABE_ITO[COLOURS[one]], OKABE_ITO[COLOURS[other]], vision) < APART
    ]
    assert not alike


def test_every_kind_of_band_has_its_lane_here() -> None:
    """A kind that is added must be told apart from its neighbours too."""
    assert {kind for kinds in TOGETHER.values() for kind in kinds} == set(COLOURS)


@pytest.mark.parametrize("vision", VISION)
def test_passed_and_not_passed_differ_to_every_reader(vision: str) -> None:
    """The verdict's own colour, beside its word."""
    colour = {verdict: OKABE_ITO[VERDICTS.get(verdict, "vermillion")] for verdict in Verdict}
    others = [colour[verdict] for verdict in Verdict if verdict is not Verdict.PASS]
    assert all(distance(colour[Verdict.PASS], other, vision) >= APART for other in others)
