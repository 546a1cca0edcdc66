"""What a scenario waits for that is about clients who are served, and badly."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.brown_out import BelowLevel, below_level
from drill.clock import FakeClock
from drill.errors import UsageError
from drill.probes import NEW, PINNED, PULSE
from drill.service_level import ServiceLevel
from drill.timeline import Observation, ObservationFile, Timeline
from tests.checks.histories import FAIL, OK, TARGET
from tests.checks.worlds import published_target

SPEED, EVERY_S = 10.0, 0.05
LEVEL = BelowLevel(ServiceLevel(success_ratio=0.9, latency_wall_s=0.3, window_s=20.0))


def reached(
    folder: Path, bad_from_s: float, since_s: float = 0.0, took_s: float = 0.01, who: str = NEW
) -> float | None:
    """When it was seen, of looks of 10 s of which every third since `bad_from_s` fails, or takes as long as said."""
    timeline = Timeline.create(folder / "run", FakeClock(speed=SPEED), {"target": TARGET})
    looks = ObservationFile(timeline.folder, "q")
    for n in range(round(10 / EVERY_S)):
        sent_s, third = n * EVERY_S, n % 3 == 0
        bad = third and sent_s >= bad_from_s
        slow_s = took_s if bad else 0.01
        outcome = FAIL if bad and took_s < 0.1 else OK
        looks.add(Observation(sent_s, sent_s + slow_s, PULSE, who, outcome, "127.100.5.165", ""))
    looks.close()
    timeline.refresh()
    return LEVEL.reached(timeline, since_s)


def test_a_third_that_fails_is_seen_within_a_window(tmp_path: Path) -> None:
    """Not at the first failure: a share needs its window, of 2 s here."""
    at_s = reached(tmp_path, 5.0)
    assert at_s is not None
    assert 5.0 < at_s <= 7.1


def test_slowness_is_seen_as_failure_is(tmp_path: Path) -> None:
    """A good answer that took longer than the level allows is a bad one."""
    assert reached(tmp_path, 5.0, took_s=0.4) is not None


@pytest.mark.parametrize(("bad_from_s", "who"), [(11.0, NEW), (5.0, PINNED)])
def test_what_is_no_bad_service_of_new_clients_is_not_seen(tmp_path: Path, bad_from_s: float, who: str) -> None:
    """Nobody badly served, or only connections that are kept."""
    assert reached(tmp_path, bad_from_s, who=who) is None


def test_only_what_was_looked_at_since_counts(tmp_path: Path) -> None:
    """One stretch that goes on is seen now, not when it began."""
    at_s = reached(tmp_path, 2.0, since_s=8.0)
    assert at_s is not None
    assert 8.0 <= at_s < 8.2


def test_nothing_is_seen_without_looks(tmp_path: Path) -> None:
    """Before the first window is whole."""
    timeline = Timeline.create(tmp_path / "run", FakeClock(speed=SPEED), {"target": TARGET})
    assert LEVEL.reached(timeline, 0.0) is None
    assert LEVEL.begun(timeline, 0.0) is None


def test_a_target_without_a_level_is_told_to_declare_one() -> None:
    """A scenario that needs one cannot do without; core-banking declares it."""
    target = published_target()
    assert below_level(target).level == target.service_level
    with pytest.raises(UsageError, match=r"give it a \[service_level\]"):
        below_level(target.model_copy(update={"service_level": None}))
