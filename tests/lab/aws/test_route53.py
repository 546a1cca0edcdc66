"""Route 53: the published choice of records (pure), and zones and health checks over the wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.aws.arc import Arc
from lab.aws.elb import Balancers
from lab.aws.route53 import Route53
from lab.aws.route53_rules import Alias, Question, Record, Zone, answer
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.dns import Answer
from lab.truth import Truth

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
NAME = "api.example.com."


@dataclass
class Facts:
    """A world of plain facts: which checks and balancers are healthy, and addresses."""

    sick: set[str] = field(default_factory=set)
    balancers: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def healthy(self, health_check: str) -> bool:
        return health_check not in self.sick

    def addresses(self, balancer: str) -> Sequence[str]:
        return self.balancers.get(balancer, ())

    def balancer_healthy(self, balancer: str) -> bool:
        return balancer not in self.sick


def a(value: str, **more: Any) -> Record:
    """An A record of api.example.com with TTL 30 whose health check has its value's name."""
    return Record(NAME, "A", 30, (value,), health_check=value, **more)


def ask(records: Sequence[Record], facts: Facts, name: str = NAME, rtype: str = "A", **more: Any) -> Answer:
    """The answer of a zone example.com with these records."""
    zone = Zone("example.com.", tuple(records))
    return answer([zone], Question(name, rtype, **more), facts)


def values(found: Answer) -> list[str]:
    """All values of an answer."""
    return [value for rrset in found.rrsets for value in rrset.values]


@pytest.mark.parametrize(
    ("sick", "expected"),
    [(set(), "1.1.1.1"), ({"1.1.1.1"}, "2.2.2.2"), ({"2.2.2.2"}, "1.1.1.1"), ({"1.1.1.1", "2.2.2.2"}, "1.1.1.1")],
)
def test_failover_table(sick: set[str], expected: str) -> None:
    """The published table: both healthy or both unhealthy answer the primary."""
    records = [a("2.2.2.2", failover="SECONDARY"), a("1.1.1.1", failover="PRIMARY")]
    assert values(ask(records, Facts(sick))) == [expected]


def test_record_without_health_check_is_healthy() -> None:
    """A secondary without a health check takes over although nothing is known of it."""
    secondary = Record(NAME, "A", 30, ("2.2.2.2",), failover="SECONDARY")
    records = [a("1.1.1.1", failover="PRIMARY"), secondary]
    assert values(ask(records, Facts({"1.1.1.1"}))) == ["2.2.2.2"]


def test_weight_zero_only_as_a_last_resort() -> None:
    """A record of weight 0 answers only when every healthy record has weight 0."""
    records = [a("1.1.1.1", weight=10), a("2.2.2.2", weight=0)]
    assert values(ask(records, Facts(), draw=lambda: 0.999)) == ["1.1.1.1"]
    assert values(ask(records, Facts({"1.1.1.1"}))) == ["2.2.2.2"]
    assert values(ask(records, Facts({"1.1.1.1", "2.2.2.2"}))) == ["1.1.1.1"]


@given(st.lists(st.integers(1, 255), min_size=1, max_size=5), st.floats(0, 1, exclude_max=True))
def test_weights_divide_the_draws(weights: list[int], draw: float) -> None:
    """The drawn record is the one whose share of the summed weights contains the draw."""
    records = [a(f"1.1.1.{n}", weight=weight) for n, weight in enumerate(weights)]
    chosen = int(values(ask(records, Facts(), draw=lambda: draw))[0].rsplit(".", 1)[1])
    mark = draw * sum(weights)
    assert sum(weights[:chosen]) <= mark <= sum(weights[: chosen + 1])


def test_latency_prefers_the_nearest_healthy() -> None:
    """A latency record of the client's Region answers while it is healthy, else the next nearest."""
    records = [a("1.1.1.1", region=TOKYO), a("2.2.2.2", region=OSAKA)]
    nearest = (OSAKA, TOKYO)
    assert values(ask(records, Facts(), nearest=nearest)) == ["2.2.2.2"]
    assert values(ask(records, Facts({"2.2.2.2"}), nearest=nearest)) == ["1.1.1.1"]
    assert values(ask(records, Facts({"1.1.1.1", "2.2.2.2"}), nearest=nearest)) == ["2.2.2.2"]


def test_alias_to_balancer() -> None:
    """An alias to a load balancer answers its addresses under the asked name with TTL 60."""
    record = Record(NAME, "A", alias=Alias("lb.elb.amazonaws.com."))
    facts = Facts(balancers={"lb.elb.amazonaws.com": ("127.0.0.1", "127.0.0.2")})
    rrset = ask([record], facts).rrsets[0]
    assert (rrset.name, rrset.ttl_s, rrset.values) == (NAME, 60, ("127.0.0.1", "127.0.0.2"))


def test_target_health_counts_only_when_evaluated() -> None:
    """An unhealthy balancer moves a failover alias only with EvaluateTargetHealth."""
    facts = Facts({"one"}, {"one": ("127.0.0.1",), "two": ("127.0.0.2",)})

    def pair(evaluate: bool) -> list[Record]:
        return [
            Record(NAME, "A", alias=Alias("one.", evaluate), failover="PRIMARY"),
            Record(NAME, "A", alias=Alias("two.", evaluate), failover="SECONDARY"),
        ]

    assert values(ask(pair(True), facts)) == ["127.0.0.2"]
    assert values(ask(pair(False), facts)) == ["127.0.0.1"]


def test_alias_to_a_record_of_the_zone() -> None:
    """An alias to another name answers that name's records, TTL and choice under its own name."""
    records = [
        a("1.1.1.1", failover="PRIMARY"),
        a("2.2.2.2", failover="SECONDARY"),
        Record("www.example.com.", "A", alias=Alias(NAME, True)),
    ]
    rrset = ask(records, Facts({"1.1.1.1"}), name="www.example.com.").rrsets[0]
    assert (rrset.name, rrset.ttl_s, rrset.values) == ("www.example.com.", 30, ("2.2.2.2",))


def test_cname_is_followed() -> None:
    """A CNAME in the zone answers itself and what it points to."""
    records = [a("1.1.1.1"), Record("old.example.com.", "CNAME", 300, (NAME,))]
    found = ask(records, Facts(), name="old.example.com.")
    assert [(rrset.rtype, rrset.values[0]) for rrset in found.rrsets] == [("CNAME", NAME), ("A", "1.1.1.1")]


def test_loop_ends() -> None:
    """Names that point at each other end in an answer, not in a recursion error."""
    records = [
        Record("x.example.com.", "CNAME", 300, ("y.example.com.",)),
        Record("y.example.com.", "CNAME", 300, ("x.example.com.",)),
    ]
    assert len(ask(records, Facts(), name="x.example.com.").rrsets) <= 8


@pytest.mark.parametrize(
    ("name", "rtype", "rcode", "soa"),
    [
        (NAME, "AAAA", "NOERROR", True),
        ("example.com.", "A", "NOERROR", True),
        ("nobody.example.com.", "A", "NXDOMAIN", True),
        ("example.org.", "A", "REFUSED", False),
        ("notexample.com.", "A", "REFUSED", False),
    ],
)
def test_negative_answers(name: str, rtype: str, rcode: str, soa: bool) -> None:
    """No data, no name and no zone are three answers; the first two carry the SOA."""
    found = ask([a("1.1.1.1")], Facts(), name=name, rtype=rtype)
    assert (found.rcode, bool(found.soa), found.rrsets) == (rcode, soa, ())


@dataclass(frozen=True)
class Room:
    """example.com as the core-banking system has it, with both controls Off; propagation 50 lab s (0.5 s)."""

    r53: Route53
    api: Any
    arc: Arc
    controls: dict[str, str]
    checks: dict[str, str]
    balancers: Balancers
    clock: LabClock

    def addresses(self) -> list[str]:
        """What api.example.com resolves to now."""
        return values(self.r53.answer(NAME, "A", "127.0.0.1"))

    def turn(self, region: str, state: str) -> None:
        """Set a control and let it propagate."""
        self.arc.update([(self.controls[region], state)])
        self.clock.sleep(55)


@pytest.fixture
def room(server: AwsServer, clock: LabClock, truth: Truth) -> Room:
    """Built through the API."""
    arc, balancers = Arc(server, truth), Balancers(server)
    r53 = Route53(server, arc, balancers, clock, truth, propagation_s=50.0)
    cluster = arc.create_cluster("c")
    controls = {r: arc.create_control(cluster.arn, None, f"rc-{r}").arn for r in (TOKYO, OSAKA)}
    api = server.client("route53", "us-east-1")
    zone = api.create_hosted_zone(
        Name="example.com", CallerReference="z", VPC={"VPCRegion": TOKYO, "VPCId": "vpc-1"}
    )["HostedZone"]["Id"]
    checks, changes = {}, []
    for region, role in ((TOKYO, "PRIMARY"), (OSAKA, "SECONDARY")):
        config = {"Type": "RECOVERY_CONTROL", "RoutingControlArn": controls[region]}
        made = api.create_health_check(CallerReference=f"hc-{region}", HealthCheckConfig=config)
        checks[region] = made["HealthCheck"]["Id"]
        changes.append(
            {
                "Name": "api.example.com",
                "Type": "A",
                "SetIdentifier": region,
                "Failover": role,
                "HealthCheckId": checks[region],
                "AliasTarget": {
                    "HostedZoneId": "Z14GRHDCWA56QT",
                    "DNSName": balancer(server, balancers, region),
                    "EvaluateTargetHealth": False,
                },
            }
        )
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": change} for change in changes]}
    api.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    return Room(r53, api, arc, controls, checks, balancers, clock)


def balancer(server: AwsServer, balancers: Balancers, region: str) -> str:
    """A load balancer with two addresses; its DNS name."""
    ec2, elb = server.client("ec2", region), server.client("elbv2", region)
    subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"][:2]]
    elb.create_load_balancer(Name="alb", Subnets=subnets)
    third = "100" if region == TOKYO else "101"
    return balancers.assign("alb", region, [f"127.{third}.5.165", f"127.{third}.9.84"])


def test_controls_move_the_name(room: Room) -> None:
    """Off/Off answers Tokyo, Off/On answers Osaka only after the propagation, and On/On answers Tokyo."""
    assert room.addresses() == ["127.100.5.165", "127.100.9.84"]
    room.arc.update([(room.controls[OSAKA], "On")])
    assert room.addresses()[0].startswith("127.100.")
    room.clock.sleep(55)
    assert room.addresses() == ["127.101.5.165", "127.101.9.84"]
    room.turn(TOKYO, "On")
    assert room.addresses()[0].startswith("127.100.")


def test_health_check_keeps_its_control(room: Room) -> None:
    """GetHealthCheck and ListHealthChecks return the RoutingControlArn that was given."""
    shown = room.api.get_health_check(HealthCheckId=room.checks[TOKYO])["HealthCheck"]
    assert shown["HealthCheckConfig"]["RoutingControlArn"] == room.controls[TOKYO]
    listed = room.api.list_health_checks()["HealthChecks"]
    arns = {check["HealthCheckConfig"]["RoutingControlArn"] for check in listed}
    assert arns == set(room.controls.values())


def test_inverted_and_disabled(room: Room) -> None:
    """Inverted turns a check over, Disabled makes it healthy, both together unhealthy."""
    check = room.checks[TOKYO]

    def status() -> str:
        found = room.api.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        return str(found[0]["StatusReport"]["Status"]).split(":")[0]

    assert status() == "Failure"
    room.api.update_health_check(HealthCheckId=check, Inverted=True)
    assert status() == "Success"
    room.api.update_health_check(HealthCheckId=check, Inverted=False, Disabled=True)
    assert status() == "Success"
    room.api.update_health_check(HealthCheckId=check, Inverted=True)
    assert status() == "Failure"


def test_update_of_an_old_version_is_refused(room: Room) -> None:
    """UpdateHealthCheck with a version that is no longer current changes nothing."""
    check = room.checks[TOKYO]
    room.api.update_health_check(HealthCheckId=check, HealthCheckVersion=1, Disabled=True)
    with pytest.raises(room.api.exceptions.HealthCheckVersionMismatch):
        room.api.update_health_check(HealthCheckId=check, HealthCheckVersion=1, Disabled=False)


def test_target_health_is_what_the_balancer_sees(room: Room, server: AwsServer) -> None:
    """DescribeTargetHealth shows the states reported, per address and port, with AWS's reasons."""
    elb = server.client("elbv2", TOKYO)
    arn = elb.create_target_group(
        Name="tg", Protocol="HTTP", Port=80, VpcId=elb.describe_load_balancers()["LoadBalancers"][0]["VpcId"]
    )["TargetGroups"][0]["TargetGroupArn"]
    room.balancers.set_health(arn, {"127.100.1.1:9000": "healthy", "127.100.1.1:9001": "draining"})
    found = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    shown = [(f["Target"]["Port"], f["TargetHealth"]["State"], f["TargetHealth"].get("Reason")) for f in found]
    assert shown == [(9000, "healthy", None), (9001, "draining", "Target.DeregistrationInProgress")]
    with pytest.raises(ValueError, match="no target states"):
        room.balancers.set_health(arn, {"x": "fine"})


def test_answers_are_on_the_record(room: Room, tmp_path: Any) -> None:
    """The truth names the instant from which the name had other addresses."""
    room.addresses()
    room.turn(OSAKA, "On")
    room.addresses()
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    seen = [line["values"][0] for line in lines if line["what"] == "dns.answer"]
    assert seen == ["127.100.5.165", "127.101.5.165"]
