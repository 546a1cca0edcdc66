"""The AWS side of the event-bus lab: the API server, what makes it live, and the system's resources in it."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from lab.adapters import Machines, targets
from lab.aws.alarm_checks import AlarmChecks
from lab.aws.arc import Arc
from lab.aws.cloudwatch import AlarmEngine
from lab.aws.dynamodb import GlobalTables
from lab.aws.ecs import EcsAgent
from lab.aws.elb import Balancers
from lab.aws.event_metrics import EventMetrics
from lab.aws.events import Events
from lab.aws.functions import Functions
from lab.aws.global_endpoints import GlobalEndpoints
from lab.aws.quotas import Quotas
from lab.aws.route53 import Route53
from lab.aws.scheduler import Scheduler
from lab.aws.server import Tapped
from lab.aws.stacks import Stacks
from lab.balancer import BalancerProcess
from lab.base_cloud import BaseCloud
from lab.event_bus import infra, names
from lab.event_bus.names import OSAKA, PLACES, SERVING, TOKYO
from lab.tasks import Tasks


class Cloud(BaseCloud):
    """Everything that lives in the world process."""

    account, aws_host, dns_host = names.ACCOUNT, names.AWS_HOST, names.DNS_HOST

    def open(self, runner: Tasks, balancers: Mapping[str, BalancerProcess]) -> None:
        """Start the API and its engines and create what the stacks create."""
        self._runner = runner
        self._http_port = balancers[TOKYO].port
        self._groups: dict[str, str] = {}
        self._registered: dict[str, set[tuple[str, int]]] = {}
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._start_server()
        self._elb = Balancers(self._server)
        arc = Arc(self._server, self._truth)
        self._route53 = Route53(self._server, arc, self._elb, self._clock, self._truth)
        self._start_names(self._route53.answer, {region: place.resolver for region, place in PLACES.items()})
        self._start_engines(runner)
        self._create()

    def run(self) -> None:
        """Wait until both Regions' consumers have been handed an event, as the system's own traffic goes on."""
        self._await("every consumer behind its load balancer is healthy", self._consumers_up)
        self._beat(0)
        self._await("an event has been delivered in Tokyo", lambda: bool(self._delivered))
        if self._settings["events.unavailable_in"]:
            self._server.unavailable(self._settings["events.unavailable_in"], "events")
        if self._settings["heartbeat_s"]:
            heart = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)
            self._closers.callback(heart.join, 2.0)
            heart.start()
        self._closers.callback(self._closing.set)
        self._server.misbehave(*self._settings["misbehave"])

    def set_health(self, region: str, states: Mapping[tuple[str, int], str]) -> None:
        """Show in the API what the Region's balancer says of its consumers."""
        group = self._groups[region]
        with self._lock:
            known, now = self._registered.get(group, set()), set(states)
            self._registered[group] = now
            elb = self._server.client("elbv2", region)
            if gone := known - now:
                elb.deregister_targets(TargetGroupArn=group, Targets=targets(gone))
            if new := now - known:
                elb.register_targets(TargetGroupArn=group, Targets=targets(new))
            self._elb.set_health(group, {f"{host}:{port}": state for (host, port), state in states.items()})

    # -- engines ----------------------------------------------------------------------------------------------

    def _start_engines(self, runner: Tasks) -> None:
        server, clock, truth, settings = self._server, self._clock, self._truth, self._settings
        quota_per_s = settings["events.quota_told_per_s"]
        Quotas(server, {OSAKA: quota_per_s})
        left_per_s = settings["events.quota_in_standby_per_s"] or quota_per_s
        self._endpoints = GlobalEndpoints(
            server,
            self._route53,
            clock,
            truth,
            {region: place.ingress for region, place in PLACES.items()},
            {OSAKA: min(quota_per_s, left_per_s)},
            lambda name: names.ENDPOINT_ID,
        )
        for region, place in PLACES.items():
            server.listen_in(region, place.ingress, self._http_port)
        self._events = Events(server, clock, truth)
        self._events.duplicate_deliveries = settings["events.duplicates"]
        self._delivered: list[str] = []
        self._events.watch(lambda region, *_: self._delivered.append(region) if not self._delivered else None)
        server.tap("ssm", ["PutParameter"], self._parameter_put)
        for engine in (
            GlobalTables(server, clock, truth, 1.0),
            Functions(server, clock, truth, self._plan.state_dir),
            self._events,
            EventMetrics(server, self._events, clock, truth),
            AlarmEngine(server, clock, truth),
            AlarmChecks(
                server, self._route53, clock, truth, settings["route53.stream_s"], settings["route53.status_s"]
            ),
            EcsAgent(server, Machines(runner), clock, truth),
            Scheduler(server, clock, truth),
            Stacks(),
        ):
            self._closers.callback(engine.stop)
            engine.start()

    def _parameter_put(self, call: Tapped) -> None:
        """The lab's switch: how many seconds a Region's buses pause between two deliveries."""
        if call.params.get("Name") != names.IMPAIRMENT:
            return
        try:
            pause_s = float(call.params["Value"])
        except ValueError:
            return
        if math.isfinite(pause_s) and pause_s >= 0:
            self._events.impair(call.region, pause_s)

    # -- resources --------------------------------------------------------------------------------------------

    def _create(self) -> None:
        client, settings = self._server.client, self._settings
        balancing = {region: infra.balancing(client, region) for region in SERVING}
        for region, (_, group) in balancing.items():
            self._elb.assign(infra.balancer_name(region), region, list(PLACES[region].consumers))
            self._groups[region] = group
        infra.buses(client, self._http_port, settings["consumers"])
        alarm = settings["alarm.period_s"], settings["alarm.evaluation_periods"], settings["alarm.missing"]
        check = infra.health_check(client, *alarm)
        infra.endpoint(client, check, settings["endpoint.replication"])
        infra.impairment(client)
        infra.heartbeat(client)
        for region, (balancer, group) in balancing.items():
            infra.service(client, region, balancer, group)

    # -- the system's own traffic -----------------------------------------------------------------------------

    def _keep_beating(self) -> None:
        number = 0
        while not self._clock.wait(self._closing, self._settings["heartbeat_s"]):
            number += 1
            if infra.beating(self._server.client):
                self._beat(number)

    def _beat(self, number: int) -> None:
        """An order of the system's own, by the endpoint; what does not get through is lost to it."""
        entry = {
            "Source": names.SOURCE,
            "DetailType": "Heartbeat",
            "Detail": json.dumps({"reference": f"heartbeat-{number}"}),
            "EventBusName": names.BUS,
        }
        try:
            self._server.client("events", TOKYO).put_events(EndpointId=names.ENDPOINT_ID, Entries=[entry])
        except (ClientError, BotoCoreError) as error:
            self._truth.record("heartbeat.failed", error=str(error))

    def _consumers_up(self) -> bool:
        running = all(self._runner.running(region, names.CONSUMER) for region in SERVING)
        return running and self._runner.await_healthy(1.0)
