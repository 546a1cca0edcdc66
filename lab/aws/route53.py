"""Route 53: moto's zones and health checks, with what moto drops and the answers that DNS gives.

`Route53.answer` is the authority for lab.dns.Authoritative. Health of a RECOVERY_CONTROL check is the state
of its routing control as it was `propagation_s` lab seconds ago; of other checks what `observe` last said.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from moto.core.responses import ActionResult
from moto.route53.models import HealthCheck, route53_backends
from moto.route53.responses import Route53 as Route53Response

from lab.aws.arc import Arc
from lab.aws.protocol import AwsError
from lab.aws.route53_rules import ALIAS_TO_BALANCER_TTL_S, SOA_TTL_S, Alias, Question, Record, World, Zone, answer
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.dns import Answer, RRset
from lab.truth import Truth

KEPT = ("RoutingControlArn", "AlarmIdentifier", "InsufficientDataHealthStatus")
"""Fields of HealthCheckConfig that moto drops and this module keeps."""
OBSERVERS = ("us-east-1", "us-west-1", "us-west-2", "eu-west-1", "ap-southeast-1", "ap-southeast-2")
"""Regions of Route 53's health checkers that GetHealthCheckStatus shows."""
MAX_CHILDREN_DEPTH = 3

Nearest = Callable[[str], Sequence[str]]
"""Client address -> Regions, nearest first: what latency records choose by."""


class Entrances(Protocol):
    """Where the names that AWS itself gives lead: load balancers (lab.aws.elb), API Gateways."""

    def addresses(self, dns_name: str) -> list[str]:
        """Addresses of the entrance with that DNS name; empty when unknown."""

    def healthy(self, dns_name: str) -> bool:
        """For EvaluateTargetHealth."""


class Route53(World):
    """Serves Route 53 for `server` and answers for its zones.

    propagation_s: lab seconds until a routing control's change shows in DNS answers.
    nearest: how far Regions are from a client; without it latency records answer in order of storage.
    """

    def __init__(
        self,
        server: AwsServer,
        arc: Arc,
        balancers: Entrances,
        clock: LabClock,
        truth: Truth,
        propagation_s: float = 5.0,
        nearest: Nearest = lambda _client: (),
    ) -> None:
        self._server = server
        self._arc = arc
        self._balancers = balancers
        self.clock = clock
        self._truth = truth
        self.propagation_s = propagation_s
        self._nearest = nearest
        self._draw = random.Random().random
        self._observed: dict[str, bool] = {}
        self._services: list[Callable[[str, str], Answer | None]] = []
        self._changed: list[Callable[[str], None]] = []
        self._last: dict[tuple[str, str], tuple[str, ...]] = {}
        self.kept: dict[str, dict[str, Any]] = {}
        server.serve_class("route53", type("R53", (_Route53,), {"world": self}))

    def answer(self, name: str, rtype: str, client: str) -> Answer:
        """What Route 53 answers that client now (lab.dns.Authority)."""
        question = Question(name.lower(), rtype, tuple(self._nearest(client)), self._draw)
        found = self._service(question) or self._balancer(question) or answer(self.zones(), question, self)
        self._note(name.lower(), rtype, found)
        return found

    def answer_for(self, service: Callable[[str, str], Answer | None]) -> None:
        """Let an AWS service answer for names of its own: (name, type) -> the answer, None for others' names."""
        self._services.append(service)

    def on_check(self, changed: Callable[[str], None]) -> None:
        """Call `changed` with the id of every health check that is created or updated."""
        self._changed.append(changed)

    def check_changed(self, check_id: str) -> None:
        """A health check was created or updated."""
        for changed in self._changed:
            changed(check_id)

    def checks(self) -> list[HealthCheck]:
        """All health checks."""
        return list(self._backend().health_checks.values())

    def _service(self, question: Question) -> Answer | None:
        return next((a for service in self._services if (a := service(question.name, question.rtype))), None)

    def _balancer(self, question: Question) -> Answer | None:
        """The answer for a load balancer's own name, which is in nobody's zone; None for any other name."""
        addresses = self._balancers.addresses(question.name)
        if not addresses:
            return None
        records = RRset(question.name, "A", ALIAS_TO_BALANCER_TTL_S, tuple(addresses))
        return Answer("NOERROR", (records,) if question.rtype == "A" else ())

    def zones(self) -> list[Zone]:
        """The hosted zones as they are stored now."""
        return [_zone(zone) for zone in list(self._backend().zones.values())]

    def observe(self, health_check: str, healthy: bool) -> None:
        """What checkers see of an endpoint or alarm check; without it such a check is healthy."""
        self._observed[health_check] = healthy

    def healthy(self, health_check: str) -> bool:
        """Whether Route 53 holds the check for healthy; one that does not exist is not."""
        return self._healthy(health_check, MAX_CHILDREN_DEPTH)

    def addresses(self, balancer: str) -> Sequence[str]:
        """Addresses of a load balancer."""
        return self._balancers.addresses(balancer)

    def balancer_healthy(self, balancer: str) -> bool:
        """Health of a load balancer for EvaluateTargetHealth."""
        return self._balancers.healthy(balancer)

    def _backend(self) -> Any:
        return route53_backends[self._server.account]["aws"]

    def _healthy(self, check_id: str, depth: int) -> bool:
        check: HealthCheck | None = self._backend().health_checks.get(check_id)
        if check is None or depth < 0:
            return False
        # A disabled check counts as healthy, and as unhealthy when it is inverted too.
        seen = True if check.disabled else self._seen(check, depth)
        return seen is not bool(check.inverted)

    def _seen(self, check: HealthCheck, depth: int) -> bool:
        if check.type_ == "RECOVERY_CONTROL":
            control = str(self.kept.get(check.id, {}).get("RoutingControlArn"))
            return self._arc.state_at(control, self.clock.now_s() - self.propagation_s) == "On"
        if check.type_ == "CALCULATED":
            children = check.children or []
            good = sum(self._healthy(child, depth - 1) for child in children)
            return good >= int(check.health_threshold or 0)
        return self._observed.get(check.id, True)

    def _note(self, name: str, rtype: str, found: Answer) -> None:
        """Record when the answer to a question is first another one than before."""
        values = tuple(sorted(value for rrset in found.rrsets for value in rrset.values))
        if rtype == "A" and self._last.get((name, rtype)) != values:
            self._last[(name, rtype)] = values
            self._truth.record("dns.answer", name=name, values=values)

    def shown(self, check: HealthCheck) -> dict[str, Any]:
        """The health check as the API shows it, with the fields that moto drops."""
        config = {**check.health_check_config, **self.kept.get(check.id, {})}
        if check.type_ in {"RECOVERY_CONTROL", "CALCULATED", "CLOUDWATCH_METRIC"}:
            for unused in ("Port", "RequestInterval", "FailureThreshold", "MeasureLatency", "EnableSNI"):
                config.pop(unused, None)
        return {
            "Id": check.id,
            "CallerReference": check.caller_reference,
            "HealthCheckConfig": config,
            "HealthCheckVersion": check.health_check_version,
        }


def _dotted(name: str) -> str:
    return name.lower().replace("\\052", "*").rstrip(".") + "."


def _zone(zone: Any) -> Zone:
    return Zone(_dotted(zone.name), tuple(_record(rrset) for rrset in list(zone.rrsets)))


def _record(rrset: Any) -> Record:
    target = rrset.alias_target
    alias = None
    if target:
        evaluate = str(target.get("EvaluateTargetHealth", "")).lower() == "true"
        alias = Alias(_dotted(target["DNSName"]), evaluate)
    return Record(
        name=_dotted(rrset.name),
        rtype=rrset.type,
        ttl_s=int(rrset.ttl or (SOA_TTL_S if rrset.type == "SOA" else 0)),
        values=tuple(str(value) for value in rrset.records or ()),
        alias=alias,
        failover=rrset.failover,
        weight=None if rrset.weight is None else int(rrset.weight),
        region=rrset.region,
        multivalue=str(rrset.multi_value_answer).lower() == "true",
        health_check=rrset.health_check_id,
    )


class _Route53(Route53Response):
    """moto's Route 53 with whole health checks; `world` is set by Route53 on a subclass of its own."""

    world: Route53

    def create_health_check(self) -> ActionResult:
        config = self._get_param("HealthCheckConfig")
        if config["Type"] == "RECOVERY_CONTROL" and not config.get("RoutingControlArn"):
            raise AwsError("InvalidInput", "RoutingControlArn is required for a RECOVERY_CONTROL check")
        reply = super().create_health_check()
        self._keep(reply.result["HealthCheck"].id, config)  # type: ignore[index]
        return self._shown(reply)

    def update_health_check(self) -> ActionResult:
        check_id = self._get_param("HealthCheckId")
        check = self.backend.get_health_check(check_id)
        wanted = self._get_param("HealthCheckVersion")
        if wanted is not None and int(wanted) != check.health_check_version:
            raise AwsError("HealthCheckVersionMismatch", f"version of {check_id} is {check.health_check_version}")
        reply = super().update_health_check()
        check.health_check_version += 1
        self._keep(check_id, {name: self._get_param(name) for name in KEPT})
        return self._shown(reply)

    def get_health_check(self) -> ActionResult:
        return self._shown(super().get_health_check())

    def list_health_checks(self) -> ActionResult:
        checks = [self.world.shown(check) for check in self.backend.list_health_checks()]
        listed = {"HealthChecks": checks, "Marker": "", "IsTruncated": False, "MaxItems": 100}
        return ActionResult(listed)

    def get_health_check_status(self) -> ActionResult:
        check = self.backend.get_health_check(self._get_param("HealthCheckId"))
        healthy = self.world.healthy(check.id)
        text = "Success: the health check is healthy" if healthy else "Failure: the health check is unhealthy"
        report = {"Status": text, "CheckedTime": self.world.clock.now()}
        observations = [{"Region": region, "IPAddress": "127.0.0.1", "StatusReport": report} for region in OBSERVERS]
        return ActionResult({"HealthCheckObservations": observations})

    def _keep(self, check_id: str, config: dict[str, Any]) -> None:
        given = {name: config[name] for name in KEPT if config.get(name)}
        self.world.kept[check_id] = {**self.world.kept.get(check_id, {}), **given}
        self.world.check_changed(check_id)

    def _shown(self, reply: ActionResult) -> ActionResult:
        result: Any = reply.result
        return ActionResult({**result, "HealthCheck": self.world.shown(result["HealthCheck"])})
