"""What failed writes said, told apart."""

from __future__ import annotations

import dataclasses
from typing import Any

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
        ("status page: absent, status 503: over quota", "over quota"),
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


def told(*details: tuple[float, str], onset: Interval | None = None) -> tuple[dict[str, Any], ...]:
    """The rows of failed probes of a second each, in a window from 0 to 100 at speed 10."""
    story = Story(zero_s=0.0).window(0, 100)
    for at_s, detail in details:
        failing(story, at_s, detail)
    history = story.history()
    (window,) = windows_of(history, settings_of(history).places)
    return error_rows(history, window, onset, story.speed)


def test_a_result_on_the_windows_ends_is_in_it() -> None:
    """By when the result came, not by when it was asked for; without an onset times count from the window's begin."""
    rows = told(
        (-1.5, "status 500: before"), (-1, "status 500: a"), (99, "status 500: b"), (99.5, "status 500: after")
    )
    assert rows == (
        {"error": "a", "count": 1, "first_s": -1.0, "last_s": 0.0},
        {"error": "b", "count": 1, "first_s": 99.0, "last_s": 100.0},
    )


def test_times_count_from_the_onsets_latest_instant_in_target_seconds() -> None:
    """To the thousandth; the first by its send and the last by its result, whichever of them took longest."""
    rows = told((10.00049, "status 500: a"), (12.00049, "status 500: a"), onset=Interval(0.5, 0.75))
    assert rows == ({"error": "a", "count": 2, "first_s": 2.5, "last_s": 5.5},)
    longest = Story(zero_s=0.0).window(0, 100).look(5, 60, FAIL).look(6, 7, FAIL)
    history = longest.history()
    (window,) = windows_of(history, settings_of(history).places)
    assert error_rows(history, window, None, 10.0) == ({"error": "503", "count": 2, "first_s": 5.0, "last_s": 60.0},)


def test_a_failure_that_says_nothing_is_counted_as_such() -> None:
    """Without a status by the word before the colon, and without any word as that."""
    rows = told((1, "read: status 503"), (2, "refused: [Errno 111]: x"), (3, ""), (4, "refused: [Errno 104]"))
    assert [(row["error"], row["count"]) for row in rows] == [("status 503", 1), ("refused", 2), ("no detail", 1)]


def test_the_line_tells_every_error_in_whole_seconds() -> None:
    """Of a target that names its errors, those that have only a status too; a bare status alone gets no line."""
    rows = told((10, "status 500: old writer"), (12, "status 503"), (14.4, "status 500: old writer"))
    assert list(error_notes("failback", rows, "s")) == [
        "failback: failed writes said, in s from the onset: old writer 10 to 15 (2); status 503 12 to 13 (1)"
    ]
    assert list(error_notes("failback", rows[1:], "s")) == [] == list(error_notes("failback", (), "s"))
