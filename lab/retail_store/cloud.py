"""The AWS side of the retail-store lab: the API server, what makes it live, and the system's resources in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from lab import pausing
from lab.adapters import Aurora, Machines, targets
from lab.aws.arc import ENDPOINT_REGIONS, Arc
from lab.aws.cloudwatch import AlarmEngine
from lab.aws.dynamodb import GlobalTables
from lab.aws.ecs import EcsAgent
from lab.aws.elb import Balancers
from lab.aws.events import Events
from lab.aws.fis import Experiments
from lab.aws.functions import Functions
from lab.aws.rds import RdsGlobal
from lab.aws.route53 import Route53
from lab.aws.scheduler import Scheduler
from lab.aws.ssm import Automation
from lab.aws.stacks import Stacks
from lab.aws.synthetics import CanaryRunner
from lab.balancer import BalancerProcess
from lab.base_cloud import BaseCloud
from lab.clock import LabClock
from lab.plan import Plan
from lab.postgres import PostgresPair
from lab.retail_store import canary, infra, names, runbooks
from lab.retail_store.names import EAST, PLACES, SERVING
from lab.retail_store.stock import TABLES
from lab.tasks import Tasks
from lab.truth import Truth

CANARY_PERIOD_S = 60.0


class Cloud(BaseCloud):
    """Everything that lives in the world process."""

    account, aws_host, dns_host = names.ACCOUNT, names.AWS_HOST, names.DNS_HOST

    def __init__(
        self, plan: Plan, settings: Mapping[str, Any], clock: LabClock, truth: Truth, over: threading.Event
    ) -> None:
        super().__init__(plan, settings, clock, truth, over)
        self._groups: dict[tuple[str, str], str] = {}
        self._registered: dict[str, set[tuple[str, int]]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def open(
        self, pairs: Mapping[str, PostgresPair], runner: Tasks, balancers: Mapping[str, BalancerProcess]
    ) -> None:
        """Start the API and its engines and create what the stacks create, services aside."""
        self._runner, self._pairs = runner, pairs
        self._http_port = balancers[EAST].port
        self._start_server()
        self._start_routing()
        self._start_engines(runner)
        self._create()

    def close(self) -> None:
        """Stop everything, newest first."""
        self._closing.set()
        super().close()

    def set_health(self, region: str, service: str, states: Mapping[tuple[str, int], str]) -> None:
        """Show in the API what the Region's balancer says of a group's targets."""
        group = self._groups[region, service]
        with self._lock:
            known, now = self._registered.get(group, set()), set(states)
            self._registered[group] = now
            elb = self._server.client("elbv2", region)
            if gone := known - now:
                elb.deregister_targets(TargetGroupArn=group, Targets=targets(gone))
            if new := now - known:
                elb.register_targets(TargetGroupArn=group, Targets=targets(new))
            self._elb.set_health(group, {f"{host}:{port}": state for (host, port), state in states.items()})

    def run(self) -> None:
        """Start what needs a database, wait until both Regions serve, then let the canaries go."""
        for region in SERVING:
            desired = int(self._settings["ecs.desired_count"])
            infra.services(self._server.client, region, self._networks[region], self._lbs[region], desired)
        self._await("every task behind its load balancer is healthy", self._tasks_up)
        self._await("every page is there in both Regions", self._pages_there)
        if self._settings["dynamodb.cut_from"]:
            self._tables.cut(self._settings["dynamodb.cut_from"])
        for region in ENDPOINT_REGIONS[: self._settings["arc.endpoints_down"]]:
            self._arc.endpoint_down(region)
        starter = threading.Thread(target=self._start_canaries, name="canary-starter", daemon=True)
        self._closers.callback(starter.join, 2.0)
        starter.start()
        self._server.misbehave(*self._settings["misbehave"])

    # -- engines ----------------------------------------------------------------------------------------------

    def _start_routing(self) -> None:
        """ARC, the balancers' names, and who answers for them."""
        self._arc = Arc(self._server, self._truth)
        self._elb = Balancers(self._server)
        delay_s = self._settings["route53.propagation_s"]
        route53 = Route53(self._server, self._arc, self._elb, self._clock, self._truth, delay_s, names.nearest)
        self._start_names(route53.answer, {region: place.resolver for region, place in PLACES.items()})

    def _start_engines(self, runner: Tasks) -> None:
        server, clock, truth = self._server, self._clock, self._truth
        self._tables = GlobalTables(server, clock, truth, self._settings["dynamodb.lag_s"])
        aurora = RdsGlobal(server, clock, truth, self._settings["rds.switchover_s"], self._settings["rds.failover_s"])
        for name, pair in self._pairs.items():
            aurora.attach(names.global_cluster(name), Aurora(pair, self._note_lost(name, pair)))
        self._closers.callback(aurora.stop)
        self._functions = Functions(server, clock, truth, self._plan.state_dir)
        self._visits = canary.scripts(self._resolvers, self._http_port)
        for engine in (
            self._tables,
            Experiments(server, self._tables, clock, truth, pausing.DELAY_S),
            self._functions,
            Events(server, clock, truth),
            AlarmEngine(server, clock, truth),
            EcsAgent(server, Machines(runner), clock, truth),
            CanaryRunner(server, clock, truth, self._visits),
            Automation(server, clock, truth),
            Scheduler(server, clock, truth),
            Stacks(),
        ):
            self._closers.callback(engine.stop)
            engine.start()

    def _note_lost(self, name: str, pair: PostgresPair) -> Callable[[str], None]:
        """Record which rows the old writer has and the new one lacks, before the old one forgets them."""

        def note(region: str) -> None:
            with contextlib.suppress(psycopg.Error):  # down since an attempt before, or for good
                here, there = (_ids(pair, at, name) for at in (region, names.other(region)))
                self._truth.record("rds.lost", database=name, region=region, ids=sorted(here - there))

        return note

    # -- resources --------------------------------------------------------------------------------------------

    def _create(self) -> None:
        client = self._server.client
        infra.carts(client)
        pausing.deploy(client, EAST, names.ACCOUNT, names.CARTS_TABLE, {})
        infra.databases(client)
        self._networks = {region: infra.network(client, region) for region in SERVING}
        self._lbs = {region: infra.balancing(client, region, self._networks[region]) for region in SERVING}
        for region, place in PLACES.items():
            for kind, addresses in (("ui", place.ui), ("internal", place.internal)):
                self._elb.assign(names.balancer_name(region, kind), region, list(addresses))
            self._groups.update({(region, service): arn for service, arn in self._lbs[region].groups.items()})
        route = infra.routing(client)
        infra.zone(client, self._lbs, route, self._networks)
        infra.secrets(client, route)
        handler = runbooks.regional_failover(route)
        for region in SERVING:
            limits = (runbooks.FUNCTION_TIMEOUT_S, runbooks.FUNCTION_FLOOR_WALL_S)
            self._functions.register(region, runbooks.FUNCTION, handler, *limits)
        runbooks.deploy(client)

    def _start_canaries(self) -> None:
        """One after the other over a period: all at once they would be a beat of load on this machine."""
        visits = sorted(self._visits)
        for region, name in visits:
            infra.start_canary(self._server.client("synthetics", region), region, name)
            if self._clock.wait(self._closing, CANARY_PERIOD_S / len(visits)):
                return

    # -- readiness --------------------------------------------------------------------------------------------

    def _tasks_up(self) -> bool:
        """Every service has its desired tasks, each of them healthy."""
        wanted = int(self._settings["ecs.desired_count"])
        for region in SERVING:
            for service in names.SERVICES:
                if len(self._runner.running(region, names.service_name(service))) < wanted:
                    return False
        return self._runner.await_healthy(1.0)

    def _pages_there(self) -> bool:
        """Every page is served, in each Region and by the public name: names, balancers, services and stores work."""
        for visit in self._visits.values():
            try:
                visit(None)
            except (canary.CanaryFailure, OSError):
                return False
        return True


def _ids(pair: PostgresPair, region: str, name: str) -> set[str]:
    """The ids of every row that the Region's database has; psycopg.Error when it does not answer."""
    with psycopg.connect(pair.conninfo(region)) as connection:
        return {str(row[0]) for row in connection.execute(f"SELECT id FROM {TABLES[name]}".encode())}
