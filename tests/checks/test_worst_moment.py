"""When a return has to begin for its own outage to ring the alarm too late for anybody to see the return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from checks.reads import reading
from checks.worst_moment import CLOSED_AFTER_S, MINUTE_S, moment_of, worst_moment
from drill.errors import Invalid
from drill.read_only import ReadOnlyAws
from drill.target import Resource
from lab.aws.alarm_rules import AlarmRule, State, evaluate
from tests.checks.cloud import Cloud, cloud, start_canaries
from tests.checks.worlds import OSAKA, eventually

PUBLISHED = AlarmRule("LessThanThreshold", 100.0, evaluation_periods=2, datapoints_to_alarm=2)
MACHINE_S = 147.0
"""Waits 10 s, Aurora's 120 s seen at the next 10 s, and a second for each step."""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Cloud]:
    with cloud(tmp_path) as account:
        yield account


def rings_s(start_s: float, canary_s: float, machine_s: float) -> float | None:
    """By CloudWatch's published rules: when the alarm turns from OK to ALARM; None for never."""
    closed = range(round(start_s + CLOSED_AFTER_S), round(start_s + machine_s))
    state: State = "OK"
    for minute in range(int(start_s // MINUTE_S) - 3, int(start_s // MINUTE_S) + 9):
        runs = [(minute + back) * MINUTE_S + canary_s % MINUTE_S for back in (-3, -2, -1, 0)]
        state = evaluate(PUBLISHED, [0.0 if round(run) in closed else 100.0 for run in runs], state)
        if state == "ALARM":
            return (minute + 1) * MINUTE_S
    return None


@pytest.mark.parametrize("machine_s", [100.0, 117.0, MACHINE_S])
def test_at_that_moment_the_alarm_rings_when_the_machine_has_ended(machine_s: float) -> None:
    """Whatever the canary's second of the minute; and of the seconds that were passed over none is better."""
    possible = 0
    for canary_s in range(60):
        moment = moment_of(6000.0, float(canary_s), machine_s)
        rung_s = rings_s(6000.0 + moment.wait_s, canary_s, machine_s)
        if moment.margin_s > 0:
            possible += 1
            assert rung_s is not None
            assert rung_s >= 6000.0 + moment.wait_s + machine_s + moment.margin_s
    assert possible >= 30


def test_a_return_that_takes_longer_is_always_seen_running() -> None:
    """Two failed runs and the end of a minute are over within three minutes: no moment is late enough."""
    for canary_s in range(60):
        moment = moment_of(6000.0, float(canary_s), 200.0)
        rung_s = rings_s(6000.0 + moment.wait_s, canary_s, 200.0)
        assert moment.margin_s <= 0
        assert rung_s is not None
        assert rung_s < 6000.0 + moment.wait_s + 200.0
        assert "no moment" in str(moment)


def test_without_a_finished_failover_nobody_knows_how_long_a_return_takes(made: Cloud) -> None:
    """So it is for a canary that has not run."""
    with pytest.raises(Invalid, match="has not run"):
        worst_moment(made.aws, made.target)
    start_canaries(made)
    eventually(lambda: made.client("synthetics", OSAKA).describe_canaries_last_run()["CanariesLastRun"])
    with pytest.raises(Invalid, match="no run that succeeded"):
        worst_moment(made.aws, made.target)


def test_it_is_worked_out_from_what_aws_shows(made: Cloud) -> None:
    """A machine that is over at once closes nothing: no moment of the next minute is one."""
    start_canaries(made)
    eventually(lambda: made.client("synthetics", OSAKA).describe_canaries_last_run()["CanariesLastRun"])
    machine = Resource(region=OSAKA, name="FailbackStateMachine*")
    target = made.target.model_copy(update={"resources": {**made.target.resources, "failover_machine": machine}})
    made.start_execution("FailbackStateMachineE5", "over")
    found = eventually(lambda: _known(made, target))
    assert 2 <= found.wait_s < 62
    assert found.margin_s < 0


def test_it_asks_what_every_drill_may_ask(made: Cloud) -> None:
    """Its reads are among those of the witnesses, so a policy that lets them look lets it look."""
    start_canaries(made)
    eventually(lambda: made.client("synthetics", OSAKA).describe_canaries_last_run()["CanariesLastRun"])
    aws = ReadOnlyAws(made.aws)
    with suppress(Invalid):
        worst_moment(aws, made.target)
    asked = {(call.service, call.operation) for call in aws.made}
    assert len(asked) >= 4
    assert asked <= {(need.service, need.operation) for need in reading(made.target, {})}


def _known(made: Cloud, target: object) -> object:
    try:
        return worst_moment(made.aws, target)  # type: ignore[arg-type]
    except Invalid:
        return None
