"""Routing controls over the wire, by boto3, at each of the five endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lab.aws.arc import ENDPOINT_REGIONS, Arc
from lab.aws.server import AwsServer
from lab.truth import Truth


@dataclass(frozen=True)
class Room:
    """A cluster with two controls, Off both."""

    arc: Arc
    cluster: dict[str, Any]
    tokyo: str
    osaka: str
    endpoints: dict[str, Any]


@pytest.fixture
def room(server: AwsServer, truth: Truth) -> Iterator[Room]:
    """Made through the control plane, as a person would."""
    arc = Arc(server, truth)
    config = server.client("route53-recovery-control-config", "us-west-2")
    cluster = config.create_cluster(ClusterName="ARC-CoreBanking")["Cluster"]
    panel = config.create_control_panel(ClusterArn=cluster["ClusterArn"], ControlPanelName="panel")
    arns = [
        config.create_routing_control(
            ClusterArn=cluster["ClusterArn"],
            ControlPanelArn=panel["ControlPanel"]["ControlPanelArn"],
            RoutingControlName=name,
        )["RoutingControl"]["RoutingControlArn"]
        for name in ("rc-tokyo", "rc-osaka")
    ]
    described = config.describe_cluster(ClusterArn=cluster["ClusterArn"])["Cluster"]
    clients = {
        e["Region"]: server.client_at("route53-recovery-cluster", e["Region"], e["Endpoint"])
        for e in described["ClusterEndpoints"]
    }
    yield Room(arc, described, arns[0], arns[1], clients)
    for client in clients.values():
        client.close()


def state(client: Any, arn: str) -> str:
    """What that endpoint says of the control."""
    found: str = client.get_routing_control_state(RoutingControlArn=arn)["RoutingControlState"]
    return found


def test_five_endpoints_one_state(room: Room) -> None:
    """DescribeCluster names five endpoints and a change made at one shows at all the others."""
    assert tuple(room.endpoints) == ENDPOINT_REGIONS
    assert [state(client, room.tokyo) for client in room.endpoints.values()] == ["Off"] * 5
    room.endpoints["eu-west-1"].update_routing_control_state(RoutingControlArn=room.tokyo, RoutingControlState="On")
    assert [state(client, room.tokyo) for client in room.endpoints.values()] == ["On"] * 5


def test_pair_is_atomic(room: Room) -> None:
    """A batch with one unknown control changes nothing; a good one changes both."""
    client = room.endpoints["us-east-1"]
    entries = [{"RoutingControlArn": room.tokyo, "RoutingControlState": "On"}]
    bad = [*entries, {"RoutingControlArn": room.osaka + "0", "RoutingControlState": "Off"}]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.update_routing_control_states(UpdateRoutingControlStateEntries=bad)
    assert state(client, room.tokyo) == "Off"
    good = [*entries, {"RoutingControlArn": room.osaka, "RoutingControlState": "On"}]
    client.update_routing_control_states(UpdateRoutingControlStateEntries=good)
    assert (state(client, room.tokyo), state(client, room.osaka)) == ("On", "On")


def test_one_endpoint_down(room: Room) -> None:
    """An endpoint that is down refuses connections, the other four answer, and it comes back in place."""
    room.arc.endpoint_down("us-west-2")
    with pytest.raises(EndpointConnectionError):
        state(room.endpoints["us-west-2"], room.tokyo)
    assert state(room.endpoints["ap-northeast-1"], room.tokyo) == "Off"
    room.arc.endpoint_up("us-west-2")
    assert state(room.endpoints["us-west-2"], room.tokyo) == "Off"


def test_unknown_state_is_refused(room: Room) -> None:
    """A state that is neither On nor Off is a ValidationException and changes nothing."""
    client = room.endpoints["us-east-1"]
    with pytest.raises(ClientError, match="ValidationException"):
        client.update_routing_control_state(RoutingControlArn=room.tokyo, RoutingControlState="Half")
    assert state(client, room.tokyo) == "Off"


def test_listing_pages(room: Room, server: AwsServer) -> None:
    """ListRoutingControls pages by MaxResults in the data plane and the control plane."""
    panel = room.arc.clusters()[0].panels[1].arn
    client = room.endpoints["us-east-1"]
    first = client.list_routing_controls(ControlPanelArn=panel, MaxResults=1)
    second = client.list_routing_controls(ControlPanelArn=panel, MaxResults=1, NextToken=first["NextToken"])
    assert "NextToken" not in second
    names = [page["RoutingControls"][0]["RoutingControlName"] for page in (first, second)]
    assert names == ["rc-tokyo", "rc-osaka"]
    config = server.client("route53-recovery-control-config", "us-west-2")
    assert len(config.list_routing_controls(ControlPanelArn=panel)["RoutingControls"]) == 2


def test_state_of_the_past(room: Room, server: AwsServer) -> None:
    """The state as of an earlier lab time is what the control had then: propagation rests on it."""
    before_s = server.clock.now_s()
    room.endpoints["us-east-1"].update_routing_control_state(RoutingControlArn=room.osaka, RoutingControlState="On")
    assert room.arc.state_at(room.osaka, before_s) == "Off"
    assert room.arc.state_at(room.osaka, server.clock.now_s()) == "On"
    assert room.arc.state_at("arn:none", before_s) is None
