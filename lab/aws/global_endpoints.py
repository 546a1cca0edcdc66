"""EventBridge global endpoints, which moto lacks: the endpoint itself, its name in DNS, replication, PutEvents by it.

As published (EventBridge user guide, "Making applications Regional-fault tolerant with global endpoints", and
API reference): an endpoint belongs to its primary Region and joins two buses of one name in one account; its name
leads to the primary while the health check is healthy, else to the secondary; replication is a managed rule on each
bus that sends on what that Region was the first to take, so that nothing goes round; a copy keeps `region` and
`resources`, and has an id of its own.

Not published, and chosen here: the managed rules' name, and the TTL of the endpoint's name (see alarm_checks: with
data and status it makes up the published minute).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult
from moto.events.models import EventsBackend, events_backends
from moto.events.responses import EventsHandler
from moto.utilities.arns import parse_arn

from lab.aws.protocol import AwsError
from lab.aws.route53 import Route53
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.dns import Answer, RRset
from lab.truth import Truth

SUFFIX = ".endpoint.events.amazonaws.com."
TTL_S = 5
MANAGER = "events.amazonaws.com"
EVENT_BUS_ARN = re.compile(r"arn:aws:events:[a-z0-9-]+:\d{12}:event-bus/(.+)")


class GlobalEndpoints:
    """Serves EventBridge for `server`.

    ingress: Region -> the address at which its PutEvents answers. quota: Region -> entries of PutEvents that it takes
    in a lab second; a Region that is not named takes all. id_of: an endpoint's name -> the id that it gets.
    """

    def __init__(
        self,
        server: AwsServer,
        route53: Route53,
        clock: LabClock,
        truth: Truth,
        ingress: Mapping[str, str],
        quota: Mapping[str, float] | None = None,
        id_of: Callable[[str], str] = lambda name: f"{uuid4().hex[:10]}.veo",
    ) -> None:
        self.account, self.clock, self.truth = server.account, clock, truth
        self.id_of = id_of
        self._route53, self._ingress, self._quota = route53, ingress, quota or {}
        self.endpoints: dict[tuple[str, str], dict[str, Any]] = {}
        self._taken: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()
        server.serve_class("events", type("Events", (_Events,), {"world": self}))
        route53.answer_for(self.answer)

    def answer(self, name: str, rtype: str) -> Answer | None:
        """What DNS says of an endpoint's name; None for any other name."""
        if not name.endswith(SUFFIX):
            return None
        endpoint = self.by_id(name.removesuffix(SUFFIX))
        if endpoint is None:
            return Answer("NXDOMAIN")
        records = RRset(name, "A", TTL_S, (self._ingress[self.serving(endpoint)],))
        return Answer("NOERROR", (records,) if rtype == "A" else ())

    def by_id(self, endpoint_id: str) -> dict[str, Any] | None:
        """The endpoint of that id."""
        return next((e for e in self.endpoints.values() if e["EndpointId"] == endpoint_id.lower()), None)

    def serving(self, endpoint: Mapping[str, Any]) -> str:
        """The Region to which the endpoint leads now."""
        failover = endpoint["RoutingConfig"]["FailoverConfig"]
        healthy = self._route53.healthy(failover["Primary"]["HealthCheck"].rpartition("/")[2])
        return str(parse_arn(endpoint["Arn"]).region if healthy else failover["Secondary"]["Route"])

    def backend(self, region: str) -> EventsBackend:
        """moto's buses and rules of a Region."""
        return events_backends[self.account][region]

    def require_room(self, region: str, entries: int) -> None:
        """Count entries against the Region's quota; ThrottlingException beyond it."""
        if region not in self._quota:
            return
        second = int(self.clock.now_s())
        with self._lock:
            at, taken = self._taken.get(region, (second, 0.0))
            taken = entries + (taken if at == second else 0.0)
            self._taken[region] = (second, taken)
        if taken > self._quota[region]:
            raise AwsError("ThrottlingException", "Rate exceeded")

    def replicate(self, endpoint: Mapping[str, Any]) -> None:
        """Make the managed rules what the endpoint says: one on each bus, or none."""
        buses = [bus["EventBusArn"] for bus in endpoint["EventBuses"]]
        wanted = endpoint["ReplicationConfig"]["State"] == "ENABLED"
        for here, there in (buses, buses[::-1]):
            region = parse_arn(here).region
            self._unreplicate(endpoint, here)
            if wanted:
                self._replicate(endpoint, region, here, there)
        self.truth.record("replication", endpoint=endpoint["Name"], state=endpoint["ReplicationConfig"]["State"])

    def remove(self, endpoint: Mapping[str, Any]) -> None:
        """Forget the endpoint and its managed rules."""
        for bus in endpoint["EventBuses"]:
            self._unreplicate(endpoint, bus["EventBusArn"])
        self.endpoints.pop((parse_arn(endpoint["Arn"]).region, endpoint["Name"]), None)

    def _replicate(self, endpoint: Mapping[str, Any], region: str, here: str, there: str) -> None:
        name, bus = rule_name(endpoint["Name"]), _bus_name(here)
        pattern = json.dumps({"resources": [endpoint["Arn"]], "region": [region]})
        backend = self.backend(region)
        backend.put_rule(name, event_pattern=pattern, event_bus_arn=bus, managed_by=MANAGER)
        backend.put_targets(name, bus, [{"Id": "replica", "Arn": there, "RoleArn": endpoint.get("RoleArn", "")}])

    def _unreplicate(self, endpoint: Mapping[str, Any], here: str) -> None:
        rules = self.backend(parse_arn(here).region).describe_event_bus(_bus_name(here)).rules
        rules.pop(rule_name(endpoint["Name"]), None)


def rule_name(endpoint: str) -> str:
    """The managed rule that replicates for an endpoint, on either bus."""
    return f"GlobalEndpointManagedRule-{endpoint}"


def _bus_name(arn_or_name: str) -> str:
    found = EVENT_BUS_ARN.fullmatch(arn_or_name)
    return found[1] if found else arn_or_name


class _Events(EventsHandler):
    """moto's EventBridge with endpoints, and with replays that keep to their time; `world` is set on a subclass."""

    world: GlobalEndpoints

    def create_endpoint(self) -> ActionResult:
        asked = json.loads(self.body)
        key = (self.region, asked["Name"])
        if key in self.world.endpoints:
            raise AwsError("ResourceAlreadyExistsException", f"Endpoint {asked['Name']} already exists.")
        self._require_pair(asked)
        arn = f"arn:aws:events:{self.region}:{self.world.account}:endpoint/{asked['Name']}"
        found = {"ReplicationConfig": {"State": "ENABLED"}} | asked
        if found["ReplicationConfig"]["State"] == "ENABLED" and not found.get("RoleArn"):
            raise AwsError("ValidationException", "RoleArn is required when event replication is enabled")
        endpoint_id = self.world.id_of(asked["Name"])
        url = f"https://{endpoint_id}{SUFFIX.rstrip('.')}"
        made = {"Arn": arn, "EndpointId": endpoint_id, "EndpointUrl": url, "State": "ACTIVE"}
        dates = dict.fromkeys(("CreationTime", "LastModifiedTime"), self._now())
        self.world.endpoints[key] = found | made | dates
        self.world.replicate(self.world.endpoints[key])
        return ActionResult(self.world.endpoints[key])

    def describe_endpoint(self) -> ActionResult:
        asked = json.loads(self.body)
        return ActionResult(self._found(asked["Name"], asked.get("HomeRegion") or self.region))

    def list_endpoints(self) -> ActionResult:
        prefix = json.loads(self.body or "{}").get("NamePrefix", "")
        here = [e for (region, name), e in self.world.endpoints.items() if region == self.region]
        return ActionResult({"Endpoints": [e for e in here if e["Name"].startswith(prefix)]})

    def update_endpoint(self) -> ActionResult:
        asked = json.loads(self.body)
        endpoint = self._found(asked["Name"], self.region)
        self._require_pair({**endpoint, **asked})
        endpoint.update(asked, LastModifiedTime=self._now())
        self.world.replicate(endpoint)
        return ActionResult(endpoint)

    def delete_endpoint(self) -> ActionResult:
        self.world.remove(self._found(json.loads(self.body)["Name"], self.region))
        return ActionResult({})

    def put_events(self) -> Any:
        """By an endpoint, in the Region where the call came in, or to which the endpoint leads; else moto's own."""
        asked = json.loads(self.body)
        entries, endpoint_id = asked["Entries"], asked.get("EndpointId")
        if not endpoint_id:
            self.world.require_room(self.region, len(entries))
            return super().put_events()
        endpoint = self.world.by_id(endpoint_id)
        if endpoint is None:
            raise AwsError("ResourceNotFoundException", f"Endpoint {endpoint_id} does not exist.")
        buses = {parse_arn(bus["EventBusArn"]).region: bus["EventBusArn"] for bus in endpoint["EventBuses"]}
        # By the scope, which names the Region of the address: moto would read one out of the endpoint's host name.
        signed = self.headers["Authorization"].split("/")[2]
        region = signed if signed in buses else self.world.serving(endpoint)
        self.world.require_room(region, len(entries))
        name = _bus_name(buses[region])
        if strange := {_bus_name(e.get("EventBusName", "default")) for e in entries} - {name}:
            raise AwsError("ValidationException", f"EventBusName {sorted(strange)[0]} is not the bus of the endpoint")
        sent = [{**e, "EventBusName": name, "Resources": [*e.get("Resources", ()), endpoint["Arn"]]} for e in entries]
        made = self.world.backend(region).put_events(sent)
        return json.dumps({"FailedEntryCount": sum("ErrorCode" in e for e in made), "Entries": made})

    def start_replay(self) -> Any:
        """moto replays the whole archive; EventBridge what lies in the time that was asked for."""
        asked = json.loads(self.body)
        archive = self.events_backend.archives.get(asked["EventSourceArn"].split("/")[-1])
        if archive is None:
            return super().start_replay()
        everything = archive.events
        low_s, high_s = (_seconds(asked[key]) for key in ("EventStartTime", "EventEndTime"))
        archive.events = [event for event in everything if low_s <= _seconds(event["time"]) <= high_s]
        try:
            return super().start_replay()
        finally:
            archive.events = everything

    def _found(self, name: str, region: str) -> dict[str, Any]:
        endpoint = self.world.endpoints.get((region, name))
        if endpoint is None:
            raise AwsError("ResourceNotFoundException", f"Endpoint {name} does not exist.")
        return endpoint

    def _require_pair(self, asked: Mapping[str, Any]) -> None:
        """Two buses of one name, one of them here and one where the endpoint fails over to."""
        arns = [bus["EventBusArn"] for bus in asked["EventBuses"]]
        regions = [parse_arn(arn).region for arn in arns]
        secondary = asked["RoutingConfig"]["FailoverConfig"]["Secondary"]["Route"]
        if len({_bus_name(arn) for arn in arns}) != 1 or regions != [self.region, secondary]:
            what = f"two event buses of one name, in {self.region} and {secondary}, are needed: {arns}"
            raise AwsError("ValidationException", what)

    def _now(self) -> float:
        return self.world.clock.now_s()


def _seconds(value: object) -> float:
    """An event's time or a replay's bound: seconds since the epoch, or ISO 8601."""
    return float(value) if isinstance(value, int | float) else datetime.fromisoformat(str(value)).timestamp()
