"""An event bus beside the core-banking account of tests/checks/cloud.py, for the faults that break one."""

from __future__ import annotations

from drill.target import Resource
from lab.aws.elb import Balancers
from lab.aws.global_endpoints import GlobalEndpoints
from lab.aws.route53 import Route53
from tests.checks.cloud import Cloud
from tests.checks.worlds import OSAKA, TOKYO

ENDPOINT = Resource(region=TOKYO, name="orders-endpoint")
CHECK = Resource(region=TOKYO, name="LatencyFailuresHealthCheck")
ARCHIVE = Resource(region=TOKYO, name="orders-archive")
AUDIT = Resource(region=TOKYO, within="bus-0", name="orders-audit")
SWITCH = Resource(region=TOKYO, name="/lab/event-bus/impaired-pause-s")


def add_bus(made: Cloud) -> None:
    """Two of each kind, so that "*" is ambiguous; the account's target names the ones that faults mean."""
    server, clock, truth = made.server, made.server.clock, made.truth
    route53 = Route53(server, made.arc, Balancers(server), clock, truth)
    GlobalEndpoints(server, route53, clock, truth, {TOKYO: "127.120.5.20", OSAKA: "127.121.5.20"})
    for number, name in enumerate((ENDPOINT.name, "other-endpoint")):
        check = _check(made, CHECK.name if number == 0 else "OtherCheck")
        _endpoint(made, name, f"bus-{number}", check)
    for number, name in enumerate((ARCHIVE.name, "other-archive")):
        bus = f"arn:aws:events:{TOKYO}:{server.account}:event-bus/bus-{number}"
        made.client("events", TOKYO).create_archive(ArchiveName=name, EventSourceArn=bus)
    for name in (AUDIT.name, "other-audit"):
        pattern = '{"replay-name": [{"prefix": "drill-audit-"}]}'
        made.client("events", TOKYO).put_rule(Name=name, EventBusName=AUDIT.within, EventPattern=pattern)
    for name in (SWITCH.name, "/lab/other"):
        made.client("ssm", TOKYO).put_parameter(Name=name, Value="0", Type="String")
    named = {
        "global_endpoint": ENDPOINT,
        "primary_archive": ARCHIVE,
        "audit_rule": AUDIT,
        "latency_health_check": CHECK,
        "impairment_parameter": SWITCH,
    }
    made.target = made.target.model_copy(update={"resources": {**made.target.resources, **named}})


def _check(made: Cloud, name: str) -> str:
    route53 = made.client("route53", TOKYO)
    config = {"Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": TOKYO, "Name": "HighLatencyAlarm"}}
    check = route53.create_health_check(CallerReference=name, HealthCheckConfig=config)["HealthCheck"]["Id"]
    tags = [{"Key": "Name", "Value": name}]
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=check, AddTags=tags)
    return str(check)


def _endpoint(made: Cloud, name: str, bus: str, check: str) -> None:
    buses = [made.client("events", region).create_event_bus(Name=bus)["EventBusArn"] for region in (TOKYO, OSAKA)]
    primary = {"HealthCheck": f"arn:aws:route53:::healthcheck/{check}"}
    made.client("events", TOKYO).create_endpoint(
        Name=name,
        RoutingConfig={"FailoverConfig": {"Primary": primary, "Secondary": {"Route": OSAKA}}},
        EventBuses=[{"EventBusArn": arn} for arn in buses],
        RoleArn=f"arn:aws:iam::{made.server.account}:role/event-replication",
    )
