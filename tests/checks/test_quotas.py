"""The PutEvents quota of the Region that is to take over: read beforehand, and enough for what the producers send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from checks import guards
from checks.quotas import quota_problems
from checks.reads import QUOTAS, reading
from drill.aws import Aws
from drill.errors import Invalid, Refused
from drill.iam import resources_of
from drill.read_only import ReadOnlyAws
from drill.target import Target, load_target
from lab.aws.quotas import Quotas
from lab.aws.server import AwsServer
from lab.clock import LabClock
from tests.checks.worlds import OSAKA, published_target

TARGET = Path(__file__).parents[2] / "targets" / "event-bus.toml"


def bus(per_s: float) -> Target:
    """The event bus with producers of that rate, and nothing else to look at."""
    target = load_target(TARGET)
    assert target.writes.events is not None
    events = target.writes.events.model_copy(update={"per_s": per_s})
    writes = target.writes.model_copy(update={"events": events})
    return target.model_copy(update={"writes": writes, "resources": {}})


@contextmanager
def account(applied: dict[str, float]) -> Iterator[ReadOnlyAws]:
    """An account; applied: Region -> PutEvents a second."""
    server = AwsServer("127.0.0.1", 0, LabClock.starting_now(1.0))
    Quotas(server, applied)
    server.start()
    try:
        yield ReadOnlyAws(Aws(server.url))
    finally:
        server.stop()


def test_what_aws_gives_everybody_is_asked_for_where_nothing_was_applied() -> None:
    """400 a second in Osaka: enough for 400, not for 401; exactly the declared reads, of that quota alone."""
    with account({}) as aws:
        assert quota_problems(aws, bus(400.0)) == []
        (problem,) = quota_problems(aws, bus(401.0))
    assert "its PutEvents quota is 400 a second and the producers send up to 401" in problem
    assert {(c.service, c.operation) for c in aws.made} == {(r.service, r.operation) for r in QUOTAS}
    needs = [n for n in reading(load_target(TARGET), {}) if n.service == "service-quotas"]
    arns = {need.operation: resources_of(need, "444444444444") for need in needs}
    assert arns["GetServiceQuota"] == (f"arn:aws:servicequotas:{OSAKA}:444444444444:events/L-9B653E91",)


def test_what_was_applied_holds() -> None:
    """Cut to 5 a second the standby cannot take over from 6: INVALID before anything is touched."""
    with account({OSAKA: 5.0}) as aws:
        assert guards.standby_able(aws, bus(5.0)) == f"{OSAKA} can take over"
        with pytest.raises(Invalid, match="could not take over: its PutEvents quota is 5 a second"):
            guards.standby_able(aws, bus(6.0))


def test_a_quota_that_cannot_be_read_is_refused() -> None:
    """Nobody has seen that it is enough."""
    with pytest.raises(Refused, match="standby_able: AWS could not be asked"):
        guards.standby_able(Aws("http://127.0.0.1:9"), bus(1.0))


def test_a_system_without_events_is_not_asked_for_it() -> None:
    """No call is made, and no right needed."""
    assert quota_problems(Aws("http://127.0.0.1:9"), published_target()) == []
    assert not [n for n in reading(published_target(), {}) if n.service == "service-quotas"]
