"""The event-bus drills, whole: the published figures met by rules alone, and what must not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.drilling import Drilled, drill, steady

pytestmark = [pytest.mark.alone, pytest.mark.long]

TARGET = ("--target", "event-bus")
PUBLISHED_S = (360.0, 420.0)
IDLE = ("-m", "failover", "-k", "test_idle_bus")
TWIN = ("--twin", "tests/twins/event_bus.py")


def again(folder: Path, *arguments: str) -> Drilled:
    """The drill, repeated when all that it blames is that this machine stalled."""
    return steady(lambda number: drill(folder / f"{number}", *arguments, *TARGET))


def bounds(drilled: Drilled, name: str) -> tuple[float, float]:
    """The interval of a finding, in the system's own seconds."""
    interval = drilled.finding(f"{name}, failover")["interval"]
    return float(interval["low_s"]), float(interval["high_s"])


def within(measured: tuple[float, float], low_s: float, high_s: float) -> bool:
    """Whether what was measured can be true of something between those bounds."""
    return measured[0] <= high_s and low_s <= measured[1]


def assert_published(drilled: Drilled) -> None:
    """Recovery time and point as published; all that was late arrived."""
    assert drilled.code == 0, drilled.output
    assert within(bounds(drilled, "recovery time"), *PUBLISHED_S), drilled.output
    assert within(bounds(drilled, "unprocessed at recovery"), *PUBLISHED_S), drilled.output
    counts = drilled.finding("recovery point, failover")["data"]["counts"]
    assert (counts["lost"], counts["duplicate"]) == (0, 0)
    assert counts["late"] > 0
    assert set(drilled.journal().values()) == {"restored"}


def test_an_impaired_bus_meets_the_published_figures(tmp_path: Path) -> None:
    """At the prescribed settings and the default speed: 360 to 420 s, both, and nothing lost."""
    assert_published(again(tmp_path, "-m", "failover and headline"))


def test_so_it_does_at_a_slower_speed(tmp_path: Path) -> None:
    """Half the speed, the same figures: they come from the system's own seconds, not from this machine."""
    assert_published(again(tmp_path, "-m", "failover and headline", "--lab-speed=5"))


@pytest.mark.parametrize(
    ("settings", "low_s", "high_s"),
    [
        (("alarm.evaluation_periods=3",), 240.0, 300.0),
        (("alarm.period_s=120", "alarm.evaluation_periods=2"), 300.0, 420.0),
    ],
    ids=["3 x 60 s", "2 x 120 s"],
)
def test_other_settings_move_it_as_computed(
    tmp_path: Path, settings: tuple[str, ...], low_s: float, high_s: float
) -> None:
    """Periods x seconds, up to a period to the next full one, and the minute of data, status and DNS."""
    drilled = again(tmp_path, "-m", "failover and headline", *(f"--lab-set={setting}" for setting in settings))
    assert drilled.code == 0, drilled.output
    assert within(bounds(drilled, "recovery time"), low_s, high_s), drilled.output


def test_an_inverted_check_is_quick_and_loses_nothing(tmp_path: Path) -> None:
    """It skips the alarm: seconds instead of minutes, every event in both Regions."""
    drilled = again(tmp_path, "-m", "failover", "-k", "test_health_check_inverted")
    assert drilled.code == 0, drilled.output
    assert bounds(drilled, "recovery time")[1] < 60.0
    assert drilled.finding("recovery point, failover")["data"]["counts"]["lost"] == 0


def test_a_standby_that_only_archives_is_replayed(tmp_path: Path) -> None:
    """Active/Archive: consumers on, archive replayed, nothing lost and nothing twice."""
    drilled = again(tmp_path, "-m", "failover", "-k", "test_standby_that_only_archives")
    assert drilled.code == 0, drilled.output
    counts = drilled.finding("recovery point, failover")["data"]["counts"]
    assert (counts["lost"], counts["duplicate"], counts["archived only"]) == (0, 0, 0)


def test_what_nobody_replays_is_archived_only(tmp_path: Path) -> None:
    """Lost to the survivor, in its archive, and with no consumer anywhere."""
    counts, places = lost(tmp_path, *TWIN, "-k", "test_nobody_replays")
    assert counts["archived only"] == places["only"] > 0
    assert places["unknown"] == 0
    assert sum(places.values()) == counts["lost"]


def test_what_was_not_replicated_is_not_archived(tmp_path: Path) -> None:
    """Lost to the survivor, whose archive has none of it: Tokyo's consumers have handled it."""
    counts, places = lost(tmp_path, "-m", "failover", "-k", "test_replication_switched_off")
    assert places == {"only": 0, "elsewhere": counts["lost"], "nowhere": 0, "unknown": 0}
    assert counts["archived only"] == 0


def lost(folder: Path, *arguments: str) -> tuple[dict[str, int], dict[str, int]]:
    """(fates of the writes, where the lost ones are) of a drill that loses some."""
    drilled = drill(folder, *arguments, *TARGET)
    assert drilled.code == 1, drilled.output
    assert "acknowledged writes lost" in drilled.output
    data = drilled.finding("recovery point, failover")["data"]
    return data["counts"], data["archived"]


def test_an_idle_bus_fails_over_by_itself(tmp_path: Path) -> None:
    """As published: FAIL of the promise alone; everything else of the same drill is in order."""
    drilled = again(tmp_path, *IDLE)
    assert drilled.code == 1, drilled.output
    stays = drilled.finding("stays, ap-northeast-1")
    assert "served elsewhere" in stays["reason"]
    assert {f["name"] for f in drilled.verdict["findings"] if f["verdict"] != "PASS"} == {stays["name"]}
    assert set(drilled.journal().values()) == {"restored"}


def test_an_idle_bus_whose_alarm_does_not_mind_stays(tmp_path: Path) -> None:
    """Mended (missing data is missing): the same scenario passes, so it is the weak point that it tells."""
    drilled = again(tmp_path, *IDLE, "--lab-set=alarm.missing=missing")
    assert drilled.code == 0, drilled.output
    assert drilled.finding("stays, ap-northeast-1")["data"]["looks"] >= 5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((*TWIN, "-k", "test_fault_that_nobody_feels"), 11, "fault without bite"),
        ((*TWIN, "-k", "test_primary_that_never_catches_up"), 1, "acknowledged writes lost"),
        (("-m", "failover and headline", "--lab-set=alarm.evaluation_periods=6"), 1, "misses the limit of 420"),
        (
            (*TWIN, "-k", "test_idle_bus", "--lab-set=heartbeat_s=0"),
            11,
            "clients were not served from ap-northeast-1",
        ),
        (("-m", "failover and headline", "--lab-set=events.quota_in_standby_per_s=0.1"), 1, "never recovered"),
        ((*TWIN, "-k", "test_bus_that_is_not_idle"), 11, "was not seen within"),
        (("-m", "failover and headline", "--lab-set=events.quota_told_per_s=50"), 11, "its PutEvents quota is 50"),
    ],
    ids=[
        "nobody feels it",
        "never catches up",
        "alarm too slow",
        "an idle bus fails over by itself",
        "the standby's quota is too small",
        "somebody uses the bus",
        "the standby's quota is told to be too small",
    ],
)
def test_what_has_not_worked_does_not_pass(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    """Each is the drill with one thing missing."""
    drilled = drill(tmp_path, *arguments, *TARGET)
    assert drilled.code == code, drilled.output
    assert words in drilled.output
