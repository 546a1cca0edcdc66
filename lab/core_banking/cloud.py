"""The AWS side of the core-banking lab: the API server, what makes it live, and the system's resources in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import pausing
from lab.adapters import Aurora, Machines, targets
from lab.aws.arc import Arc
from lab.aws.cloudwatch import AlarmEngine
from lab.aws.dynamodb import GlobalTables
from lab.aws.ecs import EcsAgent
from lab.aws.elb import Balancers
from lab.aws.events import Events
from lab.aws.fis import Experiments
from lab.aws.functions import Functions
from lab.aws.network_acls import NetworkAcls
from lab.aws.rds import RdsGlobal
from lab.aws.route53 import Route53
from lab.aws.run_command import Commands
from lab.aws.scheduler import Scheduler
from lab.aws.stacks import Stacks
from lab.aws.states import StateMachines
from lab.aws.synthetics import CanaryRunner
from lab.balancer import BalancerProcess
from lab.base_cloud import BaseCloud
from lab.clock import LabClock
from lab.core_banking import automation, bastion, infra, names
from lab.core_banking.canary import CanaryFailure, Journey
from lab.core_banking.names import PLACES, SERVING, TOKYO
from lab.lost_region import LostRegions
from lab.plan import Plan
from lab.postgres import PostgresPair
from lab.tasks import Tasks
from lab.truth import Truth


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

    def open(self, pair: PostgresPair, runner: Tasks, balancers: Mapping[str, BalancerProcess]) -> None:
        """Start the API and its engines and create what the stacks create, services aside."""
        self._runner, self._pair = runner, pair
        self._http_port = balancers[TOKYO].port
        self._start_server()
        self._start_routing()
        self._start_engines(pair, runner, balancers)
        self._create()

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
        """Start what needs a database, wait until the system serves, then start the canaries."""
        self._services()
        self._await("every task behind its load balancer is healthy", self._tasks_up)
        if self._settings["ecs.transaction_desired_count"]:
            self._await("a deposit settles", self._deposit_settles)
        if self._settings["dynamodb.cut_from"]:
            self._tables.cut(self._settings["dynamodb.cut_from"])
        infra.canaries(self._server.client)
        infra.alarms(self._server.client, notify=self._settings["alarm.actions"] == "on")
        self._server.misbehave(*self._settings["misbehave"])

    # -- engines ----------------------------------------------------------------------------------------------

    def _start_routing(self) -> None:
        """What decides which address a name has, and who answers by it."""
        self._arc = Arc(self._server, self._truth)
        self._elb = Balancers(self._server)
        self._route53 = Route53(
            self._server, self._arc, self._elb, self._clock, self._truth, self._settings["route53.propagation_s"]
        )
        self._start_names(self._route53.answer, {region: place.resolver for region, place in PLACES.items()})

    def _start_engines(self, pair: PostgresPair, runner: Tasks, balancers: Mapping[str, BalancerProcess]) -> None:
        server, clock, truth = self._server, self._clock, self._truth
        self._tables = GlobalTables(server, clock, truth, self._settings["dynamodb.lag_s"])
        whole = SERVING if self._settings["region.loss"] == "whole" else ()
        lost = LostRegions(server, self._arc, self._tables, truth, {r: names.in_each_subnet(r) for r in whole})
        listeners = [runner.cut_off, *(balancer.cut_off for balancer in balancers.values()), lost.heard]
        self._acls = NetworkAcls(server, truth, SERVING, listeners)
        self._aurora = RdsGlobal(
            server, clock, truth, self._settings["rds.switchover_s"], self._settings["rds.failover_s"]
        )
        self._aurora.attach(names.GLOBAL_CLUSTER, Aurora(pair, is_lost=lost.is_lost))
        self._closers.callback(self._aurora.stop)
        self._functions = Functions(server, clock, truth, self._plan.state_dir)
        self._commands = Commands(clock, truth, [balancer.lose for balancer in balancers.values()])
        journeys = {names.canary_name(region): self._journey(region) for region in PLACES}
        for engine in (
            self._tables,
            self._acls,
            self._commands,
            Experiments(server, self._tables, clock, truth, pausing.DELAY_S, self._commands),
            self._functions,
            StateMachines(server, clock, truth),
            Events(server, clock, truth),
            AlarmEngine(server, clock, truth),
            EcsAgent(server, Machines(runner), clock, truth),
            CanaryRunner(server, clock, truth, journeys),
            Scheduler(server, clock, truth),
            Stacks(),
        ):
            self._closers.callback(engine.stop)
            engine.start()

    def _journey(self, region: str) -> Journey:
        here = PLACES[region].canary
        resolver = self._resolvers[region]
        return Journey(names.API_NAME, resolver, self._http_port, here, lambda: self._acls.cuts_off(here))

    # -- resources --------------------------------------------------------------------------------------------

    def _create(self) -> None:
        client = self._server.client
        infra.tables(client)
        infra.stop_flags(client)
        pausing.deploy(client, TOKYO, names.ACCOUNT, names.main_table(), names.TAGS)
        infra.database(client)
        self._networks = {region: infra.network(client, region) for region in SERVING}
        self._lbs = {region: infra.balancing(client, region, self._networks[region]) for region in SERVING}
        for region, lb in self._lbs.items():
            self._elb.assign(lb.name, region, list(PLACES[region].balancers))
            self._groups.update({(region, service): arn for service, arn in lb.groups.items()})
        route = infra.routing(client)
        infra.zone(client, self._lbs, route, self._networks)
        automation.deploy(client, self._functions.register, route)
        self._commands.add(bastion.deploy(client, int(self._settings["client.loss_percent"])))

    def _services(self) -> None:
        tokyo = {"Transaction": int(self._settings["ecs.transaction_desired_count"])}
        for region in SERVING:
            desired = tokyo if region == TOKYO else {}
            infra.services(self._server.client, region, self._networks[region], self._lbs[region], desired)

    # -- readiness --------------------------------------------------------------------------------------------

    def _tasks_up(self) -> bool:
        """Every service has its desired tasks, each of them healthy."""
        for region in SERVING:
            for service in names.SERVICES:
                wanted = 1
                if (region, service) == (TOKYO, "Transaction"):
                    wanted = int(self._settings["ecs.transaction_desired_count"])
                if len(self._runner.running(region, names.service_name(region, service))) < wanted:
                    return False
        return self._runner.await_healthy(1.0)

    def _deposit_settles(self) -> bool:
        """A customer's journey in Tokyo succeeds: name, load balancer, services, tables and database work."""
        try:
            self._journey(TOKYO)(_Opening(self._clock))
        except (CanaryFailure, OSError):
            return False
        return True


@dataclass(frozen=True)
class _Opening:
    """The run that the lab itself makes before it is open."""

    clock: LabClock

    def sleep(self, lab_s: float) -> None:
        """Wait without an end of the run: the caller has a deadline."""
        time.sleep(max(0.02, self.clock.wall_s(lab_s)))
