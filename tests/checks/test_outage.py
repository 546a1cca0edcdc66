"""An outage that a system is to survive where it is, from told histories."""

from __future__ import annotations

import pytest

from checks.judge import judge
from checks.staying import remaining_findings
from checks.windows import settings_of, windows_of
from drill.verdict import Judgement, Verdict
from tests.checks.histories import FAIL, OK, OSAKA, TOKYO, Story, good_failover


def outage(
    down: tuple[float, float] = (10, 60),
    back: str = TOKYO,
    before: str = TOKYO,
    survivor: str = TOKYO,
    reason: str = "recovered",
) -> Story:
    """Tasks are stopped at 5 s; clients fail while it is `down` and are served from `back` after."""
    onset_s, recovery_s = down
    end_s = recovery_s + 40
    story = Story(windows=("outage",)).mark(0, "window.begin", window="outage", survivor=survivor)
    story.mark(5, "action", kind="ecs.tasks", effect="errors", window="outage")
    story.mark(30, "action.ended", kind="ecs.tasks", window="outage", reached=True, observed=["1 of 1 STOPPED"])
    story.mark(end_s, "window.end", window="outage", reason=reason)
    story.looks(-60, onset_s, region=before).looks(onset_s, recovery_s, FAIL)
    story.looks(recovery_s, end_s + 30, region=back)
    story.load(-60, onset_s, region=before).load(onset_s, recovery_s, FAIL, "").load(recovery_s, end_s + 30, OK, back)
    story.write("u1-1", -20, -19.5)
    for pass_, at_s in (("recovery", end_s + 1), ("settled", end_s + 90)):
        story.read(at_s, {"u1-1": "settled"}, pass_, "outage")
    return story


def judged(story: Story) -> Judgement:
    """Its judgement."""
    return judge(story.history())


def reason(found: Judgement, name: str) -> tuple[Verdict, str]:
    """The verdict and reason of one finding."""
    (finding,) = [f for f in found.findings if f.name == name]
    return finding.verdict, finding.reason


def test_clients_who_are_served_again_where_they_were_pass() -> None:
    """By the objectives of a failover; the evidence says that nothing moved."""
    found = judged(outage())
    assert found.verdict is Verdict.PASS
    assert {f.name: f.limit_s for f in found.findings if f.limit_s is not None} == {
        "recovery time, outage": 600.0,
        "recovery point, outage": 0.0,
    }
    verdict, why = reason(found, "evidence, outage")
    assert (verdict, "traffic stayed" in why) == (Verdict.PASS, True)
    assert reason(found, "remains, outage") == (Verdict.PASS, f"all 25 were served from {TOKYO}")


def test_a_failover_is_not_asked_whether_it_remains() -> None:
    """It is to move."""
    assert not [f for f in judged(good_failover()).findings if f.name.startswith("remains")]


def test_an_outage_in_which_nobody_was_served_says_nothing_of_where() -> None:
    """The looks of before and after it count for nothing; the recovery time says the rest."""
    story = Story().mark(0, "window.begin", window="outage", survivor=TOKYO).mark(100, "window.end", window="outage")
    story.looks(-60, 0, region=OSAKA).looks(0, 100, FAIL).looks(100, 120, region=OSAKA)
    history = story.history()
    fixed = settings_of(history)
    (window,) = windows_of(history, fixed.places)
    assert list(remaining_findings(history, window, fixed, ())) == []


def test_the_only_step_of_an_outage_is_its_detection() -> None:
    """Nothing is decided, promoted or switched; clients recover."""
    found = judged(outage().signal("aws.alarm.standby", [(s, "OK" if s < 50 else "ALARM") for s in range(-5, 95, 5)]))
    assert [name for name, interval, _ in found.phases if interval] == [
        "outage: detected",
        "outage: clients recovered",
    ]
    assert len(found.phases) == 2


def test_a_system_that_moved_has_not_recovered_where_it_was_to() -> None:
    """However well its clients are served elsewhere: FAIL, and no reason to discard the drill."""
    found = judged(outage(back=OSAKA, reason="timeout"))
    assert found.verdict is Verdict.FAIL
    assert reason(found, "evidence, outage")[0] is Verdict.PASS
    verdict, why = reason(found, "recovery time, outage")
    assert (verdict is Verdict.PASS, why.partition(":")[0]) == (False, "never recovered in the window")
    moved = "20 of 25 writes that were served were served from ap-northeast-3 and not from ap-northeast-1, the first "
    assert reason(found, "remains, outage") == (Verdict.FAIL, f"{moved}after 60 s: the system moved")


def test_a_short_stay_elsewhere_is_a_move_too() -> None:
    """Although its clients are back before the window ends."""
    story = outage()
    story.observations = [o for o in story.observations if not story.at(66) <= o.sent_s < story.at(68)]
    found = judged(story.look(66, 66.5, OK, OSAKA))
    assert (found.verdict, reason(found, "remains, outage")[0]) == (Verdict.FAIL, Verdict.FAIL)


def test_a_late_recovery_where_it_was_is_late_and_no_move() -> None:
    """The one finding fails and the other does not."""
    found = judged(outage(down=(10, 700)))
    assert found.verdict is Verdict.FAIL
    assert reason(found, "recovery time, outage")[0] is Verdict.FAIL
    assert reason(found, "remains, outage")[0] is Verdict.PASS


@pytest.mark.parametrize(
    ("story", "words"),
    [
        (
            outage(before=OSAKA),
            f"clients were not served from {TOKYO} before the outage: the last",
        ),
        (outage(down=(10, 10)), "the fault did not bite: no client saw a failure after it"),
        (outage(survivor=OSAKA), f"the survivor of an outage is {TOKYO}, the drill went by {OSAKA}"),
    ],
    ids=["served elsewhere before", "nobody felt it", "another survivor"],
)
def test_an_outage_that_is_none_proves_nothing(story: Story, words: str) -> None:
    """INVALID, whatever was measured."""
    found = judged(story)
    assert found.verdict is Verdict.INVALID
    verdict, why = reason(found, "evidence, outage")
    assert (verdict, words in why) == (Verdict.INVALID, True), why
    assert reason(found, "remains, outage")[0] is Verdict.INVALID
