"""The published function, defects included: what it makes of each event, as it was seen when it was executed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.aws.elb import Balancers
from lab.aws.functions import Functions
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.private_link import swap

REGION, PORT = "ap-northeast-1", 3306
ONE, TWO, FOREIGN = "10.105.2.20", "10.105.1.10", "192.0.2.1"
START = "Started cross AZ failover to DB instance: "
CASES = {
    "normal": ([ONE], {}, [START + "two"], [TWO]),
    "delivered in another order": ([ONE], {}, [START + "one", START + "two"], [TWO]),
    "group is empty": ([], {}, [START + "two"], []),
    "registration fails, and every later event does nothing": (
        [ONE],
        {"two": FOREIGN},
        [START + "two", START + "one"],
        [],
    ),
    "two targets, a stale one first": (["10.105.0.9", ONE], {}, [START + "two"], [TWO, ONE]),
    "two targets, the new one first": ([TWO, ONE], {}, [START + "two"], [TWO, ONE]),
    "a final full stop": ([ONE], {}, [START + "two."], [ONE]),
    "the other text": ([ONE], {}, ["Completed RDS initiated failover to DB instance: two"], [TWO]),
}


@pytest.mark.parametrize(("targets", "map_", "texts", "left"), CASES.values(), ids=CASES.keys())
def test_what_is_registered_in_the_end(
    server: AwsServer, clock: LabClock, targets: list[str], map_: dict[str, str], texts: list[str], left: list[str]
) -> None:
    """The addresses left in the group after the events, in the order in which they were delivered."""
    balancers, functions = Balancers(server), Functions(server, clock)
    functions.start()
    elb = server.client("elbv2", REGION)
    vpc = server.client("ec2", REGION).create_vpc(CidrBlock="10.105.0.0/16")["Vpc"]["VpcId"]
    made = elb.create_target_group(Name="source", Protocol="TCP", Port=PORT, VpcId=vpc, TargetType="ip")
    group = str(made["TargetGroups"][0]["TargetGroupArn"])
    balancers.restrict(group, "10.105.0.0/16")
    if targets:
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": t, "Port": PORT} for t in targets])
    environment = {
        swap.ADDRESSES: json.dumps({"one": ONE, "two": TWO} | map_),
        swap.GROUP: group,
        swap.PORT: str(PORT),
    }
    functions.register(REGION, "swap", swap.handler, 10.0, environment=environment)
    try:
        for text in texts:
            functions.run(REGION, "swap", notified(text))
    finally:
        functions.stop()
    shown = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    assert {t["Target"]["Id"] for t in shown} == set(left)


def notified(text: str) -> dict[str, Any]:
    """An RDS event as SNS hands it to a function."""
    message = {"Source ID": "source-cluster", "Event ID": "http://x#RDS-EVENT-0073", "Event Message": text}
    return {"Records": [{"Sns": {"Message": json.dumps(message)}}]}
