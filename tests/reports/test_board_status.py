"""What the board shows at each point of a day, from the record alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drill.gameday import read_plan, require_plan
from drill.gameday_log import Record
from drill.gameday_state import state_of
from reports.board import MOST_SHOWN, board_status
from reports.gameday_day import Day
from tests.drill.test_gameday import BEGUN, HELD, PLAN, RELEASED, drill, ended

NOW = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)


def shown(*told: tuple[str, dict[str, Any]], live: Any = None, stopping: str = "") -> dict[str, Any]:
    """The board half an hour after the begin, with these records."""
    began = NOW - timedelta(minutes=30)
    state = state_of(require_plan("p", read_plan(PLAN)), [Record(began, event, data) for event, data in told])
    return board_status(Day(Path(), state, "INVALID", 11, True), live, NOW, NOW + timedelta(minutes=30), stopping)


def test_a_hold_is_shown_with_who_may_release_it_and_what_comes_next() -> None:
    """What was not started yet is ahead, and no finding."""
    board = shown(BEGUN, HELD)
    assert (board["words"], board["drill"], board["lab"]) == ("waits for a person", None, True)
    assert board["hold"]["release"] == ["lead"]
    assert board["hold"]["since_words"] == "00:00:00Z, 30 min 0 s"
    assert [row[2] for row in board["steps"]] == ["ahead", "ahead"]
    assert board["next"] == ["drill loss.1: test_a on core-banking", "drill loss.2: test_b on core-banking"]
    assert "(in 30 min 0 s)" in board["times"]


def test_a_running_drill_is_shown_with_its_newest_look() -> None:
    """And is not among what comes next; no hold is offered meanwhile."""
    board = shown(BEGUN, HELD, RELEASED, drill("loss.1"), live={"phase": "in_force"})
    assert board["words"] == "drill loss.1 runs"
    assert board["drill"]["live"] == {"phase": "in_force"}
    assert board["hold"] is None
    assert board["next"] == ["drill loss.2: test_b on core-banking"]
    assert shown(BEGUN, drill("loss.1"), stopping="by SIGTERM")["words"] == "stopping: by SIGTERM"


def test_the_end_is_shown_with_its_code() -> None:
    """And the verdicts of what was done."""
    done = [e for name in ("loss.1", "loss.2") for e in (drill(name), ended(name, "PASS", 0))]
    board = shown(BEGUN, HELD, RELEASED, *done, ("closed", {"exit_code": 0}))
    assert (board["words"], board["next"]) == ("over: exit code 0", [])
    assert [row[2] for row in board["steps"]] == ["PASS", "PASS"]


def test_the_newest_observations_stand_first_and_not_all_of_them() -> None:
    """All are in the report."""
    seen = [("observation", {"text": str(n), "who": "", "via": "board", "step": ""}) for n in range(MOST_SHOWN + 5)]
    told = shown(BEGUN, *seen)["observations"]
    assert len(told) == MOST_SHOWN
    assert told[0] == ["00:00:00Z", "", str(MOST_SHOWN + 4), ""]
