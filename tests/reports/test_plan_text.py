"""A plan for a person: every line that would be typed, and every doubt, is in it."""

from __future__ import annotations

from drill.call import Call, Fact
from drill.plan import Plan, PlannedStep
from reports.plan_text import plan_text

ARN = "arn:aws:events:ap-northeast-3:111111111111:rule/r"
CALL = Call("events", "EnableRule", {"Name": "r"}, "ap-northeast-3")
FACT = Fact(Call("events", "DescribeRule", {"Name": "r"}, "ap-northeast-3"), "State", "ENABLED")


def told(*steps: PlannedStep, kind: str = "lab", **more: object) -> str:
    """The text of a plan."""
    plan = Plan("s", "A sentence.", "bank", kind, "111111111111", "http://lab", steps, **more)  # type: ignore[arg-type]
    return plan_text(plan)


def test_a_step_shows_its_lines_facts_and_doubts() -> None:
    """In the order in which they happen, indented by what is open around it."""
    step = PlannedStep(
        3, "inject", "events.rule", "failover", 1, "injecting", (CALL,), (FACT,), (ARN,), 120.0, depends_on=(1, 2)
    )
    lines = told(step).splitlines()
    start = lines.index("  3    BREAK     events.rule, at most 120 lab s  [injecting]")
    assert [line.strip() for line in lines[start + 1 : start + 5]] == [
        "on r in ap-northeast-3",
        "$ aws events enable-rule --name r --region ap-northeast-3 --endpoint-url http://lab",
        "until events:DescribeRule State = 'ENABLED' in ap-northeast-3",
        "! depends on step 1, 2",
    ]
    assert f"  {ARN}" in lines


def test_what_guards_saw_is_shown() -> None:
    """One thing beside its name, several below it."""
    text = told(PlannedStep(1, "look", "account", seen=("1",)), PlannedStep(2, "look", "regions", seen=("a", "b")))
    assert "look      account: 1\n" in text
    assert "look      regions\n       a\n       b\n" in text


def test_the_end_says_what_is_wrong() -> None:
    """What would be INVALID, what cannot be known, where the plan stops; and that it is a lab's."""
    text = told(PlannedStep(1, "inject", "x", planned=False), problems=("alarm",), ended="REFUSED: no")
    assert "INVALID if run now: alarm" in text
    assert "Not known before the drill itself gets there: step 1." in text
    assert text.endswith("The plan ends here: REFUSED: no")
    assert text.startswith("PLAN  s on bank (LAB, account 111111111111). Nothing was touched.\nA sentence.\n")
    assert "LAB" not in told(kind="aws")
