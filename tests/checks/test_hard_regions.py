"""The bounds against planted truth where it is hard to measure, and proof that these regions are really reached.

Edges that lie in a gap of the evidence, hangs that end with late successes, slow failures, flapping, an outage that
nobody saw, a window that ends in the middle of one, and several vantages with their quorum.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.degradation import Degradation
from checks.recovery_time import SILENCE_INTERVALS, Look, RecoveryTime, measure
from checks.vantages import Vantage, quorum
from drill.verdict import Verdict, judge_interval

EVERY_S, DEADLINE_S, SUSTAINED_S = 1.0, 3.0, 12.0
SILENCE_S = SILENCE_INTERVALS * EVERY_S
LAST_S = 300.0
SEEDS = st.integers(0, 2**32 - 1)
RANKS = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)


@dataclass(frozen=True)
class Piece:
    """A stretch in which the service is down: it refuses, fails slowly, or hangs and then answers what waited."""

    begin_s: float
    end_s: float
    kind: str


@dataclass
class World:
    """What really happened, how the witness looked, and when the window ended."""

    spells: list[list[Piece]] = field(default_factory=list)
    """Outages; the pieces of one are parted by less than the sustained time (flapping)."""
    blind: list[tuple[float, float]] = field(default_factory=list)
    end_s: float = LAST_S
    looks: list[Look] = field(default_factory=list)

    @property
    def pieces(self) -> list[Piece]:
        return [piece for spell in self.spells for piece in spell]

    def truth_s(self, until_s: float = math.inf) -> float:
        """The longest outage that began in the window, as far as it lies before that instant."""
        lasted = [min(s[-1].end_s, until_s) - s[0].begin_s for s in self.spells if s[0].begin_s < self.end_s]
        return max(lasted, default=0.0)


def spell(chance: random.Random, at_s: float) -> list[Piece]:
    """One outage: a piece of any kind, or several that are long enough for a look to fail in each."""
    if chance.random() < 0.6:
        kind = chance.choice(("refuses", "fails slowly", "hangs"))
        return [Piece(at_s, at_s + chance.choice((0.2, 1.5, 2.9, 6.0, 25.0)) * chance.uniform(0.9, 1.1), kind)]
    pieces = []
    for _ in range(chance.randint(2, 4)):
        end_s = at_s + chance.uniform(2.5, 6)
        pieces.append(Piece(at_s, end_s, chance.choice(("refuses", "fails slowly"))))
        at_s = end_s + chance.uniform(0.5, SUSTAINED_S / 3)
    return pieces


def world(seed: int, most: int = 3) -> World:
    """Outages far apart, a witness that is blind here and there (often at an edge), a window that may end soon."""
    chance, made, at_s = random.Random(seed), World(), 20.0
    for _ in range(chance.randint(0, most)):
        at_s += chance.uniform(0, 20)
        made.spells.append(spell(chance, at_s))
        at_s = made.spells[-1][-1].end_s + 3 * SUSTAINED_S
    edges = [edge for piece in made.pieces for edge in (piece.begin_s, piece.end_s)]
    for _ in range(chance.randint(0, 3)):
        at_s = chance.choice([*edges, chance.uniform(0, LAST_S)]) - chance.uniform(0, 4)
        made.blind.append((at_s, at_s + chance.choice((1.0, 2.5, 8.0, 30.0))))
    if chance.random() < 0.2 and made.spells:
        made.end_s = chance.choice(edges) + chance.uniform(-3, SUSTAINED_S)
    made.looks = looked(chance, made)
    return made


def looked(chance: random.Random, made: World) -> list[Look]:
    """One look a second, with some jitter, where the witness is not blind."""
    slots = (n * EVERY_S + chance.uniform(0, 0.3) for n in range(-30, round(LAST_S)))
    found = [look(chance, made, sent_s) for sent_s in slots if not any(a <= sent_s < b for a, b in made.blind)]
    return sorted(found, key=lambda k: (k.sent_s, k.done_s))


def look(chance: random.Random, made: World, sent_s: float) -> Look:
    """What a client meets that sends at that instant; a healthy answer may take long too."""
    took_s = chance.choice((0.01, 0.3, chance.uniform(0.3, 2.5)))
    touched_s = sent_s + took_s * chance.random()
    piece = next((p for p in made.pieces if p.begin_s <= touched_s < p.end_s), None)
    if piece is None:
        return Look(sent_s, sent_s + took_s, True)
    if piece.kind == "refuses":
        return Look(sent_s, touched_s, False)
    if piece.kind == "hangs" and piece.end_s < sent_s + DEADLINE_S:
        return Look(sent_s, max(piece.end_s, touched_s) + 0.01, True)
    return Look(sent_s, sent_s + DEADLINE_S, False, silent=True)


def measured(made: World, looks: list[Look] | None = None) -> RecoveryTime:
    """The window from 0 on."""
    return measure(made.looks if looks is None else looks, 0.0, made.end_s, SUSTAINED_S, SILENCE_S)


@settings(max_examples=120, deadline=None)
@given(SEEDS)
def test_the_bounds_contain_the_truth_in_every_hard_region(seed: int) -> None:
    """The longest outage's duration; and onset and recovery are those of something that really happened."""
    made = world(seed)
    found = measured(made)
    if found.duration is None:
        return
    assert found.duration.low_s <= made.truth_s() + 1e-6
    assert made.truth_s(made.end_s) <= found.duration.high_s + 1e-6
    if found.onset is not None and found.recovery is not None:
        # While it flaps, a look that fails slowly leaves it open when the first failure was: only the duration knows.
        unclear = any(len(s) > 1 and any(p.kind == "fails slowly" for p in s) for s in made.spells)
        assert unclear or any(found.onset.low_s <= p.begin_s <= found.onset.high_s for p in made.pieces)
        ends = [*(p.end_s for p in made.pieces), math.inf]
        assert any(found.recovery.low_s - 1e-6 <= end_s <= found.recovery.high_s + 1e-6 for end_s in ends)


def test_the_planted_worlds_reach_every_hard_region() -> None:
    """Each of them many times among 500; and hardly ever is there nothing to measure."""
    reached: Counter[str] = Counter()
    for seed in range(500):
        made = world(seed)
        found = measured(made)
        reached.update(regions(made, found))
    hard = set(reached) - {"nothing to measure"}
    assert hard == {
        "an edge in a gap",
        "late successes",
        "slow failures",
        "flapping",
        "an outage that nobody saw fail",
        "the window ends in an outage",
        "several outages",
        "no outage",
    }
    assert all(reached[region] >= 25 for region in hard), reached
    assert reached["nothing to measure"] < 25, reached


def regions(made: World, found: RecoveryTime) -> set[str]:
    """Which hard regions a world lies in."""
    edges = [edge for p in made.pieces for edge in (p.begin_s, p.end_s)]
    hung = [p for p in made.pieces if p.kind == "hangs"]
    inside = [s for s in made.spells if s[0].begin_s < made.end_s]
    is_there = {
        "nothing to measure": found.duration is None,
        "an edge in a gap": any(a <= edge <= b for a, b in made.blind for edge in edges),
        "late successes": any(k.good and k.sent_s < p.end_s <= k.done_s for p in hung for k in made.looks),
        "slow failures": any(p.kind == "fails slowly" for p in made.pieces),
        "flapping": any(len(s) > 1 for s in inside),
        "an outage that nobody saw fail": bool(inside) and not found.failures,
        "the window ends in an outage": any(p.begin_s < made.end_s < p.end_s for p in made.pieces),
        "several outages": len(inside) > 1,
        "no outage": not inside,
    }
    return {name for name, so in is_there.items() if so}


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.floats(0.5, 40), st.floats(0.01, 6), st.sampled_from([5.0, 20.0, 60.0]))
def test_another_failure_never_improves_a_verdict_in_any_hard_region(
    seed: int, after_s: float, took_s: float, limit_s: float
) -> None:
    """Beside the outages and inside them: neither bound falls, and what did not pass does not pass."""
    made = world(seed)
    at_s = (made.pieces[0].begin_s if made.pieces else 50.0) - 5 + after_s
    more = sorted([*made.looks, Look(at_s, at_s + took_s, False)], key=lambda k: (k.sent_s, k.done_s))
    before, after = measured(made), measured(made, more)
    if before.duration is None or after.duration is None:
        return
    one, two = (RANKS.index(judge_interval("x", f.duration, limit_s).verdict) for f in (before, after) if f.duration)
    assert two >= one
    assert after.duration.high_s >= before.duration.high_s - 1e-9


# -- several vantages


def majority_gone_s(downs: list[tuple[float, float]]) -> float:
    """The longest stretch in which fewer than a majority were served."""
    needed = len(downs) // 2 + 1
    marks = sorted({at_s for down in downs for at_s in down})
    longest = lasted = 0.0
    for low_s, high_s in itertools.pairwise(marks):
        up = sum(not (a <= low_s and high_s <= b) for a, b in downs)
        lasted = lasted + high_s - low_s if up < needed else 0.0
        longest = max(longest, lasted)
    return longest


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(20, 90), st.floats(0, 60)), min_size=1, max_size=5), SEEDS)
def test_the_quorums_bounds_contain_how_long_the_majority_was_gone(
    plan: list[tuple[float, float]], seed: int
) -> None:
    """Vantages that are down at other times, at the same time, or never."""
    downs = [(at_s, at_s + (0.0 if for_s < 5 else for_s)) for at_s, for_s in plan]
    vantages = []
    for number, (begin_s, end_s) in enumerate(downs):
        made = World([[Piece(begin_s, end_s, "refuses")]] if end_s > begin_s else [])
        made.looks = looked(random.Random(seed + number), made)
        vantages.append(Vantage(str(number), measured(made), None, Degradation(), (), len(made.looks)))
    found = quorum(vantages)
    assert found is not None
    assert found.low_s - 1e-6 <= majority_gone_s(downs) <= found.high_s + 1e-6
