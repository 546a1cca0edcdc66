"""What header and marks say of the windows that are judged, to the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.windows import Places, Settings, Window, announced, settings_of, windows_of
from drill.errors import Invalid
from drill.target import Regions
from drill.timeline import History
from tests.checks.histories import OK, OSAKA, OSAKA_PEER, TARGET, TOKYO, TOKYO_PEER, Story

PLACES = Places(Regions.model_validate(TARGET["regions"]))


def test_an_answer_has_a_region_only_when_all_its_addresses_have_it() -> None:
    """Mixed, foreign and empty ones have none, in whatever order."""
    assert PLACES.region_of_answer(f"{OSAKA_PEER},127.101.9.9") == OSAKA
    for answer in (f"{TOKYO_PEER},{OSAKA_PEER}", f"{OSAKA_PEER},{TOKYO_PEER}", f"{OSAKA_PEER},192.0.2.1", "", "x"):
        assert PLACES.region_of_answer(answer) is None
    assert (PLACES.other(TOKYO), PLACES.other(OSAKA)) == (OSAKA, TOKYO)
    assert (PLACES.region_of(TOKYO_PEER), PLACES.region_of("192.0.2.1")) == (TOKYO, None)


def fixed(**header: Any) -> Settings:
    """The settings of a story whose header is changed so."""
    history = Story().history()
    return settings_of(replace(history, header=history.header | header))


def test_settings_are_the_headers_in_wall_seconds_with_their_floors() -> None:
    """Ten times faster: a tenth, but no look more often than each 0.1 s and no time-out below a second."""
    usual = fixed(timings={"probe_interval_s": 6.0, "probe_timeout_s": 30.0})
    assert (usual.interval_wall_s, usual.timeout_wall_s, usual.wall_s(25.0)) == (0.6, 3.0, 2.5)
    quick = fixed(timings={"probe_interval_s": 0.5, "probe_timeout_s": 5.0})
    assert (quick.interval_wall_s, quick.timeout_wall_s) == (0.1, 1.0)
    probing = fixed(target=TARGET | {"probing": {"gentle_hz": 4.0}})
    assert (probing.pulse_interval_s, probing.load_timeout_s, probing.unit) == (0.25, 3.0, "s")
    in_lab = fixed(target_kind="lab", target=TARGET | {"load": {"timeout_s": 7.0}})
    assert (in_lab.unit, in_lab.load_timeout_s, fixed(target=TARGET | {"load": None}).load_timeout_s) == (
        "lab s",
        7.0,
        3.0,
    )


def test_limits_are_found_by_window_and_question() -> None:
    """Each with its own key; nothing where the target has none, nor for what nobody asks."""
    objectives = {"rto_s": 1.0, "rpo_s": 2.0, "failback_rto_s": 3.0, "failback_rpo_s": 4.0, "unprocessed_s": 5.0}
    found = fixed(objectives=objectives)
    assert [found.limit_s(w, q) for w in ("failover", "failback") for q in ("time", "point", "unprocessed")] == [
        1.0,
        2.0,
        5.0,
        3.0,
        4.0,
        None,
    ]
    assert fixed(objectives={"x": 1}).limit_s("failover", "time") is None
    assert fixed(objectives={}, target=TARGET | {"objectives": {"rto_s": 9}}).limit_s("failover", "time") == 9.0


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"speed": 0}, "run.json: speed is 0.0, expected a number above 0"),
        ({"speed": -1}, "speed is -1.0"),
        ({"speed": "inf"}, "speed is inf"),
        ({"speed": "fast"}, "run.json does not say what to judge by: ValueError: could not convert"),
        ({"target": {}}, "run.json does not say what to judge by: KeyError: 'regions'"),
        ({"objectives": {"rto_s": -1, "rpo_s": "nan", "x": 1}}, "objectives rpo_s, rto_s are not numbers of seconds"),
        ({"target": TARGET | {"service_level": {"success_ratio": 9}}}, "does not say what to judge by"),
    ],
)
def test_a_header_that_does_not_say_enough_is_one_sentence(header: dict[str, Any], words: str) -> None:
    """What is wrong with it, in one line."""
    with pytest.raises(Invalid) as refused:
        fixed(**header)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def windows(story: Story) -> tuple[Window, ...]:
    """Those of the story."""
    return windows_of(story.history(), PLACES)


def test_a_window_is_told_whole() -> None:
    """From its begin to its end, where to, why it ended, and until when its writes are settled."""
    story = Story().window(0, 100).mark(90, "window.recovered", window="failover", first_good_s=77.5)
    (found,) = windows(story)
    assert found == Window("failover", OSAKA, story.at(0), story.at(100), "recovered", 77.5, float("-inf"))
    bare = Story().window(0, 100).mark(90, "window.recovered", window="failover")
    assert windows(bare)[0].settled_by_s == bare.at(90)
    never = Story().window(0, 100, reason="timeout")
    assert (windows(never)[0].settled_by_s, windows(never)[0].reason) == (never.at(100), "timeout")


def test_windows_come_in_order_each_with_its_own_marks() -> None:
    """A failback goes to the primary; a mark of another window, or of another time, is none of this one's."""
    story = Story().window(200, 300, "failback").window(0, 100)
    story.mark(50, "window.end", window="failback", reason="x").mark(250, "window.recovered", window="failover")
    first, second = windows(story)
    assert (first.name, first.end_s, first.settled_by_s) == ("failover", story.at(100), story.at(100))
    assert (second.name, second.survivor, second.end_s, second.previous_end_s) == (
        "failback",
        TOKYO,
        story.at(300),
        story.at(100),
    )


def test_a_window_that_was_cut_short_ends_with_the_evidence_or_the_next_one() -> None:
    """Its reason is empty; without any look it is as short as its begin."""
    story = Story().mark(0, "window.begin").look(40, 41, OK)
    (cut,) = windows(story)
    assert (cut.name, cut.survivor, cut.end_s, cut.reason) == ("failover", OSAKA, story.at(41), "")
    twice = story.mark(20, "window.begin").mark(30, "window.end")
    assert [(w.begin_s, w.end_s) for w in windows(twice)] == [
        (story.at(0), story.at(20)),
        (story.at(20), story.at(30)),
    ]
    (alone,) = windows(Story().mark(0, "window.begin"))
    assert alone.end_s == alone.begin_s


def test_what_was_announced_is_what_is_due() -> None:
    """Else what was begun, each once, in order."""
    story = Story().window(0, 100).window(200, 300, "failback").window(400, 500)
    assert announced(story.history()) == ("failover", "failback")
    assert announced(History({"windows": ["failback", 3]}, story.history().events)) == ("failback", "3")
    assert announced(History({"windows": []}, story.history().events)) == ()
    assert announced(Story().mark(0, "window.begin").history()) == ("failover",)


def test_a_mark_on_the_very_instant_of_a_begin_belongs_to_both_its_sides() -> None:
    """A failback that begins as the failover ends cuts nothing short; nor does an end without any time."""
    first, second = windows(Story().window(0, 100).window(100, 200, "failback"))
    assert (first.reason, second.reason, second.begin_s) == ("recovered", "recovered", first.end_s)
    (given_up,) = windows(Story().window(50, 50, reason="stopped").look(60, 61, OK))
    assert (given_up.begin_s, given_up.reason) == (given_up.end_s, "stopped")


def test_of_three_windows_the_one_in_the_middle_is_cut_short_by_the_third() -> None:
    """Not by the first; and an end that does not say why has no reason."""
    story = Story().mark(0, "window.begin").mark(10, "window.end").mark(20, "window.begin").mark(30, "window.begin")
    found = windows(story.look(90, 91, OK))
    assert [(w.begin_s, w.end_s, w.reason) for w in found] == [
        (story.at(0), story.at(10), ""),
        (story.at(20), story.at(30), ""),
        (story.at(30), story.at(91), ""),
    ]


def test_timings_are_the_headers_or_else_the_targets() -> None:
    """As overridden for this run; as the target's file has them; or the usual ones."""
    own = TARGET | {"timings": {"sustained_s": 77.0}}
    assert fixed(target=own).timings.sustained_s == 77.0
    assert fixed(target=own, timings={"sustained_s": 55.0}).timings.sustained_s == 55.0
    assert fixed(target=TARGET | {"timings": None}).timings.sustained_s == 30.0
