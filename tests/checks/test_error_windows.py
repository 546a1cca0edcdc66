"""What failed writes said, told apart."""

from __future__ import annotations

import dataclasses

import pytest

from checks.error_windows import error_named_in, error_notes, error_rows
from checks.windows import settings_of, windows_of
from drill.verdict import Interval
from tests.checks.histories import FAIL, OK, Story


@pytest.mark.parametrize(
    ("detail", "name"),
    [
        ("status 500: read-only transaction", "read-only transaction"),
        ("not accepted: status 500: writer: refused", "writer: refused"),
        ("read: status 503", "status 503"),
        ("not accepted: refused: [Errno 111]", ""),
        ("", ""),
    ],
)
def test_the_name_stands_behind_the_status(detail: str, name: str) -> None:
    """As the prober writes it, whatever stands before; the status itself where the target has no name."""
    assert error_named_in(detail) == name


def failing(story: Story, at_s: float, detail: str) -> None:
    """One failed probe that took a second."""
    story.look(at_s, at_s + 1, FAIL)
    story.observations[-1] = dataclasses.replace(story.observations[-1], detail=detail)


def test_each_error_has_its_own_window() -> None:
    """From the send of its first to the result of its last, in the order of the first, from the onset's latest
    instant; what lies outside of the drill's window, or was good, is no part of it."""
    story = Story().window(0, 100)
    for at_s, detail in (
        (-20, "status 500: before"),
        (10, "not accepted: status 500: old writer"),
        (14, "status 500: old writer"),
        (16, "status 500: reader"),
        (18, "timeout: the deadline passed"),
        (19, "status 500: reader"),
    ):
        failing(story, at_s, detail)
    story.look(20, 21, OK)
    history = story.history()
    (window,) = windows_of(history, settings_of(history).places)
    rows = error_rows(history, window, Interval(story.at(8), story.at(10)), story.speed)
    assert [(row["error"], row["count"]) for row in rows] == [("old writer", 2), ("reader", 2), ("timeout", 1)]
    assert [(row["first_s"], row["last_s"]) for row in rows] == [
        pytest.approx((0, 5), abs=1e-3),
        pytest.approx((6, 10), abs=1e-3),
        pytest.approx((8, 9), abs=1e-3),
    ]
    (note,) = error_notes("failover", rows, "lab s")
    assert note.startswith(
        "failover: failed writes said, in lab s from the onset: old writer 0 to 5 (2); reader 6 to"
    )


def test_a_target_without_names_gets_no_line() -> None:
    """Statuses alone are told elsewhere."""
    assert not list(error_notes("failover", ({"error": "status 503", "count": 1, "first_s": 0, "last_s": 1},), "s"))
