"""Whether a Region that was brought back goes on serving, from told histories."""

from __future__ import annotations

import copy

import pytest

from checks.staying import staying_findings
from checks.windows import settings_of
from drill.drill import STAY_BEGIN, STAY_END
from drill.verdict import Finding, Verdict
from tests.checks.histories import FAIL, OK, OSAKA, TOKYO, UNKNOWN, Story


def stayed(story: Story, end_s: float | None = 480) -> Finding:
    """The one finding of a story in which Tokyo was looked at from 0 s on."""
    story = copy.deepcopy(story)  # a parameter is every run's
    story.mark(0, STAY_BEGIN, region=TOKYO, for_s=480.0)
    if end_s is not None:
        story.mark(end_s, STAY_END, region=TOKYO)
    history = story.history()
    (found,) = staying_findings(history, settings_of(history))
    return found


def test_a_region_that_serves_every_write_stays() -> None:
    """What came before the look does not count."""
    found = stayed(Story().looks(-30, 0, FAIL).looks(0, 480))
    assert (found.verdict, found.data) == (Verdict.PASS, {"looks": 240, "bad": 0})


def test_one_failed_write_is_enough() -> None:
    """It says when and with which answer."""
    found = stayed(Story().looks(0, 200).look(200, 200.5, FAIL).looks(202, 480))
    assert found.verdict is Verdict.FAIL
    assert "1 of 240 writes failed and 0 were served elsewhere, the first after 200 s (503)" in found.reason


def test_being_served_from_the_other_region_is_not_staying() -> None:
    """Without a single failure the system has turned round all the same."""
    found = stayed(Story().looks(0, 200).looks(200, 480, OK, OSAKA))
    assert found.verdict is Verdict.FAIL
    assert f"140 were served elsewhere, the first after 200 s (served from {OSAKA})" in found.reason


@pytest.mark.parametrize(
    ("story", "words"),
    [
        (Story(), "0 writes are known of"),
        (Story().looks(0, 480, UNKNOWN), "0 writes are known of"),
        (Story().looks(0, 200).looks(300, 480), "blind for 10."),
        (Story().looks(0, 200), "blind for"),
    ],
    ids=["no look", "no answer", "a pause", "nothing at the end"],
)
def test_what_nobody_saw_proves_nothing(story: Story, words: str) -> None:
    """INVALID, never PASS."""
    found = stayed(story)
    assert found.verdict is Verdict.INVALID
    assert words in found.reason


def test_a_look_that_was_cut_short_proves_nothing() -> None:
    """The drill ended meanwhile."""
    assert stayed(Story().looks(0, 480), end_s=None).verdict is Verdict.INVALID


def test_blindness_is_a_pause_that_is_longer_than_allowed() -> None:
    """3 s of wall time, exactly, are bearable; five looks are enough; the last time-out's looks may be missing."""
    assert stayed(Story().looks(0, 480, every_s=30.0)).verdict is Verdict.PASS
    blind = stayed(Story().looks(0, 480, every_s=31.0))
    assert (blind.verdict, blind.reason) == (
        Verdict.INVALID,
        "proves nothing: the observer was blind for 3.1 s (wall)",
    )
    five = Story(timings={"probe_interval_s": 10.0})
    assert stayed(five.looks(0, 480, every_s=96.0)).data["looks"] == 5
    assert stayed(Story(timings={"probe_interval_s": 10.0}).looks(0, 480, every_s=96.0)).verdict is Verdict.PASS
    ended = Story(timings={"probe_timeout_s": 30.0}).looks(0, 421)
    assert stayed(ended).verdict is Verdict.PASS
    assert stayed(Story(timings={"probe_timeout_s": 30.0}).looks(0, 415)).verdict is Verdict.INVALID


def test_what_failed_and_what_was_served_elsewhere_are_counted_apart() -> None:
    """Of all the looks."""
    found = stayed(Story().looks(0, 200).looks(200, 210, FAIL).looks(210, 480, OK, OSAKA))
    assert "5 of 240 writes failed and 135 were served elsewhere" in found.reason
