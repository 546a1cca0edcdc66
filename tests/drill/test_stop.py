"""Stop conditions: each is seen when it comes true, and a condition that cannot be seen counts as true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drill.aws import Aws
from drill.clock import FakeClock
from drill.errors import Refused, UsageError
from drill.interrupt import Interrupts, Stopped
from drill.stop import Condition, StopConditions, in_aws, in_run, refuse_if_any
from drill.target import Target, load_target
from drill.timeline import Observation, Outcome, Timeline
from tests.aws_server import moto_process

TARGETS = Path(__file__).resolve().parents[2] / "targets"
OREGON = "us-west-2"
PARAMETER = "/drills/core-banking"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """One AWS stand-in for this file, with an alarm that is OK and a parameter that says run."""
    with moto_process() as url:
        aws = Aws(url)
        aws.client("cloudwatch", OREGON).put_metric_alarm(
            AlarmName="canaryAlerm-us-west-2",
            EvaluationPeriods=1,
            ComparisonOperator="LessThanThreshold",
            Threshold=1,
        )
        yield aws


@pytest.fixture(autouse=True)
def quiet(aws: Aws) -> None:
    """Nothing is true before a test."""
    alarm(aws, "OK")
    aws.client("ssm", OREGON).put_parameter(Name=PARAMETER, Value="run\n", Type="String", Overwrite=True)


def alarm(aws: Aws, state: str) -> None:
    """Set the alarm's state."""
    aws.client("cloudwatch", OREGON).set_alarm_state(
        AlarmName="canaryAlerm-us-west-2", StateValue=state, StateReason="test"
    )


def target(**safety: Any) -> Target:
    """The shipped target with these words in [safety]."""
    shipped = load_target(TARGETS / "core-banking.toml")
    return shipped.model_copy(update={"safety": shipped.safety.model_copy(update=safety)})


def test_an_alarm_that_is_not_ok_stops(aws: Aws) -> None:
    """ALARM, and also an alarm that cannot tell, or is gone."""
    (condition,) = in_aws(target(stop_alarms=("observer_alarm",)), aws, FakeClock())
    assert condition.now() == ""
    for state in ("ALARM", "INSUFFICIENT_DATA"):
        alarm(aws, state)
        assert condition.now() == f"alarm canaryAlerm-us-west-2 in us-west-2 is {state}"


def test_an_alarm_that_is_gone_stops() -> None:
    """Somebody deleted what was to protect them."""
    with moto_process() as url:
        aws = Aws(url)
        cloudwatch = aws.client("cloudwatch", OREGON)
        cloudwatch.put_metric_alarm(
            AlarmName="canaryAlerm-us-west-2",
            EvaluationPeriods=1,
            ComparisonOperator="LessThanThreshold",
            Threshold=1,
        )
        (condition,) = in_aws(target(stop_alarms=("observer_alarm",)), aws, FakeClock())
        cloudwatch.delete_alarms(AlarmNames=["canaryAlerm-us-west-2"])
        assert "is gone" in condition.now()


def test_an_alarm_that_does_not_exist_is_refused(aws: Aws) -> None:
    """Before anything: exactly one must match, as for every resource."""
    with pytest.raises(Refused, match="exactly one must match, found none"):
        in_aws(target(stop_alarms=("standby_alarm",)), aws, FakeClock())


@pytest.mark.parametrize("value", ["stop", "RUN!", "no"])
def test_a_parameter_that_does_not_say_run_stops(aws: Aws, value: str) -> None:
    """Whatever else it says."""
    (condition,) = in_aws(target(stop_parameter=PARAMETER), aws, FakeClock())
    assert condition.now() == ""
    aws.client("ssm", OREGON).put_parameter(Name=PARAMETER, Value=value, Type="String", Overwrite=True)
    assert condition.now() == f"parameter {PARAMETER} in us-west-2 says {value!r}, not 'run'"


def test_a_parameter_that_is_not_there_stops_and_says_what_to_create(aws: Aws) -> None:
    """A missing parameter is no permission."""
    (condition,) = in_aws(target(stop_parameter="/no/such"), aws, FakeClock())
    assert "parameter /no/such cannot be looked at: " in condition.now()
    assert "create it with the value 'run'" in condition.now()
    with pytest.raises(Refused, match=r"a drill would be stopped at once: parameter /no/such cannot be looked at"):
        refuse_if_any([condition])


def test_an_account_that_does_not_answer_stops(aws: Aws) -> None:
    """What nobody sees may have come true."""
    (condition,) = in_aws(target(stop_parameter=PARAMETER), Aws("http://127.0.0.1:9"), FakeClock())
    assert "cannot be looked at" in condition.now()


def test_the_targets_stop_file(aws: Aws, tmp_path: Path) -> None:
    """While it exists; what it says is told; a folder that is gone is no absence."""
    path = tmp_path / "folder" / "no-drills"
    (condition,) = in_aws(target(stop_file=str(path)), aws, FakeClock())
    assert "cannot be looked at" in condition.now()
    path.parent.mkdir()
    assert condition.now() == ""
    path.write_text("month end\n")
    assert condition.now() == f"{path} exists: month end"


def test_nothing_declared_is_nothing_asked(tmp_path: Path) -> None:
    """A target without conditions needs no right for them."""
    assert in_aws(target(), Aws("http://127.0.0.1:9"), FakeClock()) == ()
    assert refuse_if_any([]) == "none declared"


@pytest.fixture
def timeline(tmp_path: Path) -> Iterator[Timeline]:
    """A run folder of a lab that is ten times faster."""
    made = Timeline.create(tmp_path / "run", FakeClock(speed=10.0), {"run_id": "r"})
    yield made
    made.close()


def reasons(timeline: Timeline, dead: Callable[[], tuple[str, ...]] = tuple, **safety: Any) -> Callable[[], str]:
    """The first reason to stop among the run's own conditions, whenever asked."""
    clock = timeline.clock
    return StopConditions(clock, in_run(target(**safety), timeline, clock.monotonic_s(), dead)).now


def test_a_drill_that_lasts_too_long_is_stopped(timeline: Timeline) -> None:
    """In target seconds, from its begin."""
    why = reasons(timeline, max_duration_s=100.0)
    timeline.clock.sleep(100)
    assert why() == ""
    timeline.clock.sleep(5)
    assert why() == "it has lasted 105 lab s, safety.max_duration_s is 100 lab s"


def test_the_operators_file_in_the_run_folder(timeline: Timeline) -> None:
    """As `drill stop` makes it."""
    why = reasons(timeline)
    assert why() == ""
    (timeline.folder / "stop").write_text("enough (2026-11-22T10:00:00Z)\n")
    assert why() == f"{timeline.folder / 'stop'} exists: enough (2026-11-22T10:00:00Z)"


def probe(timeline: Timeline, outcome: Outcome, name: str = "write.settle") -> None:
    """One more probe, just now."""
    now_s = timeline.clock.monotonic_s()
    timeline.observations.append(Observation(now_s - 0.1, now_s, name, "client", outcome))


def test_an_error_budget_is_spent_by_failed_probes(timeline: Timeline) -> None:
    """Each costs one probe interval, over the whole drill, however many good ones lie between."""
    why = reasons(timeline, error_budget_s=6.0)  # probes every 2 s
    for _ in range(3):
        for outcome in (Outcome.FAIL, Outcome.OK, Outcome.UNKNOWN):
            probe(timeline, outcome)
        probe(timeline, Outcome.FAIL, "write.accept")  # the same write, seen from another side
        assert why() == ""
    probe(timeline, Outcome.FAIL)
    assert why() == "the error budget is spent: 4 failed probes are 8 of 6 lab s"


def test_an_error_budget_that_nobody_counts_is_spent(timeline: Timeline) -> None:
    """A prober that ended, or says nothing any more (its timeout aside); before its first word it may be quiet."""
    why = reasons(timeline, error_budget_s=600.0)
    timeline.clock.sleep(1000)
    assert why() == ""
    probe(timeline, Outcome.OK)
    timeline.clock.sleep(60)
    probe(timeline, Outcome.UNKNOWN)
    assert why() == ""
    timeline.clock.sleep(20)
    assert why() == "the error budget is unknown: no probe for 8 s (wall)"
    ended = reasons(timeline, lambda: ("prober",), error_budget_s=600.0)
    assert ended() == "the error budget is unknown: the prober has ended"


def test_conditions_are_looked_at_at_a_bounded_rate() -> None:
    """AWS is asked once in a while, a file at every look; before an injection all are asked."""
    clock, asked = FakeClock(), []
    slow = Condition("slow", lambda: asked.append("slow") or "", every_wall_s=5.0)  # type: ignore[func-returns-value]
    fast = Condition("fast", lambda: asked.append("fast") or "")  # type: ignore[func-returns-value]
    both = StopConditions(clock, (slow, fast))
    for _ in range(10):
        assert both.due() == ""
        clock.sleep(1)
    assert (asked.count("slow"), asked.count("fast")) == (2, 10)
    assert both.now() == ""
    assert asked.count("slow") == 3


def test_how_often_aws_is_asked(aws: Aws) -> None:
    """Every five target seconds, never more than once a wall second."""
    for speed, every_s in ((1.0, 5.0), (2.5, 2.0), (100.0, 1.0)):
        (condition,) = in_aws(target(stop_parameter=PARAMETER), aws, FakeClock(speed=speed))
        assert condition.every_wall_s == every_s


def test_a_stop_is_raised_once_and_never_while_something_is_put_back() -> None:
    """As a signal: after the shielded block; a second reason is only noted."""
    interrupts = Interrupts()
    with pytest.raises(Stopped, match=r"^alarm$"), interrupts.shielded():
        interrupts.stop("alarm")
        assert interrupts.shielding
    interrupts.stop("file")
    assert interrupts.noted == ["alarm", "file"]


def test_alarms_that_are_none_are_named_with_the_file(tmp_path: Path) -> None:
    """A typo in the target is found before anything is asked."""
    text = (TARGETS / "core-banking.toml").read_text()
    path = tmp_path / "odd.toml"
    path.write_text(text.replace("[safety]\n", '[safety]\nstop_alarms = ["transaction", "no_alarm"]\n'))
    with pytest.raises(UsageError) as wrong:
        load_target(path)
    assert "safety.stop_alarms names 'transaction'" in str(wrong.value)
    assert "safety.stop_alarms names 'no_alarm'" in str(wrong.value)
