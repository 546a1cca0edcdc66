"""Whether a Region that was told to stop takes nothing any more, from told histories."""

from __future__ import annotations

from dataclasses import replace

from checks.quiet import QUIET, quiet_findings
from checks.windows import settings_of, windows_of
from drill.timeline import Observation, Outcome
from drill.verdict import Finding, Verdict
from tests.checks.histories import OSAKA_PEER, TOKYO, TOKYO_PEER, Story

TURNED_S = 100.0


def moved(turned: bool = True) -> Story:
    """A failover from 0 to 300 s in which DNS answers with Osaka from 100 s on."""
    story = Story().mark(0, QUIET, window="failover", region=TOKYO).window(0, 300)
    for second in range(0, 300, 5):
        where = OSAKA_PEER if turned and second >= TURNED_S else TOKYO_PEER
        sent_s, done_s = story.at(second - 0.1), story.at(second)
        story.observations.append(Observation(sent_s, done_s, "dns", "authoritative", Outcome.OK, where))
    return story


def found(story: Story) -> Finding:
    """The one finding."""
    history = story.history()
    settings = settings_of(history)
    (window,) = windows_of(history, settings.places)
    (finding,) = quiet_findings(history, window, settings)
    return finding


def test_a_region_that_refuses_everybody_is_quiet() -> None:
    """What it took before the traffic was turned away, and what the other one takes, is as it should be."""
    story = moved().write("early", 99, 99.5).write("late", 120, 120.5, "refused").write("there", 150, 150.5)
    story.writes[-1] = replace(story.writes[-1], peer=OSAKA_PEER)
    assert (found(story).verdict, found(story).data) == (
        Verdict.PASS,
        {"asked": 1, "acknowledged": 0, "indeterminate": 0},
    )


def test_one_acknowledged_write_is_enough() -> None:
    """It says how many of how many, when, and which."""
    story = moved().write("refused", 110, 110.5, "refused").write("a", 120, 120.5).write("b", 160, 160.5)
    finding = found(story)
    assert finding.verdict is Verdict.FAIL
    assert "acknowledged 2 of 3 writes" in finding.reason
    assert "first after 20 s, last after 60 s, first id id-a" in finding.reason


def test_a_region_that_nobody_asks_proves_nothing() -> None:
    """Neither does one from which nobody saw the traffic turned away."""
    assert found(moved().write("early", 50, 50.5)).verdict is Verdict.INVALID
    assert found(moved(turned=False).write("late", 120, 120.5)).verdict is Verdict.INVALID


def test_a_region_that_does_not_answer_is_not_known_to_be_quiet() -> None:
    """A write whose answer nobody saw may have been taken; one that was acknowledged is enough all the same."""
    story = moved().write("refused", 110, 110.5, "refused").write("hung", 120, 130, "indeterminate")
    finding = found(story)
    assert finding.verdict is Verdict.INVALID
    assert "1 of 2 writes that were sent to" in finding.reason
    assert found(story.write("taken", 140, 140.5)).verdict is Verdict.FAIL


def test_nothing_is_judged_that_no_scenario_promised() -> None:
    """Most drills ask nothing of the Region that they leave."""
    history = Story().window(0, 300).write("late", 120, 120.5).history()
    settings = settings_of(history)
    (window,) = windows_of(history, settings.places)
    assert list(quiet_findings(history, window, settings)) == []


def test_what_is_said_is_told_whole() -> None:
    """Name, sentence and counts of each end."""
    name = f"quiet, {TOKYO}"
    unseen = found(moved(turned=False).write("late", 120, 120.5))
    assert unseen == Finding(name, Verdict.INVALID, "proves nothing: nobody saw DNS turn the traffic away")
    nobody = found(moved().write("at the switch", TURNED_S, 120.5))
    why = f"proves nothing: nobody asked {TOKYO} for a write after DNS had turned the traffic away"
    counts = {"asked": 0, "acknowledged": 0, "indeterminate": 0}
    assert nobody == Finding(name, Verdict.INVALID, why, data=counts)
    refused = found(moved().write("r", 100.1, 101, "refused").write("s", 300, 301, "refused"))
    why = f"all 2 writes that reached {TOKYO} after DNS had turned the traffic away were refused"
    assert refused == Finding(name, Verdict.PASS, why, data=counts | {"asked": 2})
    assert found(moved().write("r", 120, 121, "refused").write("behind the end", 300.1, 301)).data["asked"] == 1
    hung = found(moved().write("r", 120, 121, "refused").write("h", 121, None, "indeterminate"))
    why = f"proves nothing: 1 of 2 writes that were sent to {TOKYO} then were never answered"
    assert hung == Finding(name, Verdict.INVALID, why, data=counts | {"asked": 2, "indeterminate": 1})
    loud = found(moved().write("b", 160, 160.5).write("a", 120, 120.5))
    assert loud.data == counts | {"asked": 2, "acknowledged": 2}
    assert loud.reason == (
        f"{TOKYO} had been told to stop, and acknowledged 2 of 2 writes that were sent to it after DNS had turned "
        "the traffic away (first after 20 s, last after 60 s, first id id-a)"
    )


def test_only_the_promised_window_is_judged() -> None:
    """A promise of another window says nothing of this one."""
    history = moved().write("late", 120, 120.5).history()
    other = replace(
        history, events=tuple(replace(e, data=e.data | {"window": "failback"}) for e in history.named(QUIET))
    )
    settings = settings_of(history)
    (window,) = windows_of(history, settings.places)
    assert list(quiet_findings(other, window, settings)) == []
