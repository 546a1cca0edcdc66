"""What the stacks of the event bus create, by the settings that decide about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.event_bus import infra, names
from lab.event_bus.names import OSAKA, TOKYO


@pytest.fixture
def server(clock: LabClock) -> Iterator[AwsServer]:
    """The API in the system's own account."""
    aws = AwsServer("127.0.0.1", 0, clock, names.ACCOUNT)
    aws.start()
    yield aws
    aws.stop()


@pytest.mark.parametrize(("consumers", "in_osaka"), [("active-active", "ENABLED"), ("active-archive", "DISABLED")])
def test_who_handles_events(server: AwsServer, consumers: str, in_osaka: str) -> None:
    """Active/Archive: Osaka's rules hand on nothing, whoever took the event first; what is archived is the same."""
    infra.buses(server.client, 5052, consumers)
    for region, state in ((TOKYO, "ENABLED"), (OSAKA, in_osaka)):
        events = server.client("events", region)
        for rule in (names.OWN_RULE, names.COPY_RULE):
            assert events.describe_rule(Name=rule, EventBusName=names.BUS)["State"] == state
        assert events.describe_archive(ArchiveName=names.ARCHIVE)["State"] == "ENABLED"
        assert events.describe_rule(Name=names.AUDIT_RULE, EventBusName=names.BUS)["State"] == "ENABLED"
