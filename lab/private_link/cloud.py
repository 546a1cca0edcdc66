"""The AWS side of the private-link-replication lab: the API server, what makes it live, the system's resources."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Mapping

from lab.adapters import targets
from lab.aws.arc import Arc
from lab.aws.cloudwatch import AlarmEngine
from lab.aws.elb import Balancers
from lab.aws.functions import Functions
from lab.aws.protocol import Tapped
from lab.aws.rds import PairError
from lab.aws.rds_cluster import RdsCluster
from lab.aws.route53 import Route53
from lab.aws.scheduler import Scheduler
from lab.aws.stacks import Stacks
from lab.aws.synthetics import CanaryRunner
from lab.base_cloud import BaseCloud
from lab.dns import Answer
from lab.nlb import NetworkBalancer, NlbConfig
from lab.polling import until
from lab.private_link import infra, names, swap
from lab.private_link.engines import POSTGRESQL, Replica, Source, scheme_of
from lab.private_link.names import TOKYO


class SourceInstances:
    """The cluster's databases as RDS wants them: their errors are PairError."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def crash(self, instance: str) -> None:
        """See Source."""
        self._do(self._source.crash, instance)

    def promote(self, instance: str) -> None:
        """See Source."""
        self._do(self._source.promote, instance)

    def follow(self, instance: str) -> None:
        """See Source."""
        self._do(self._source.follow, instance)

    def ready(self, instance: str) -> bool:
        """See Source."""
        try:
            return self._source.ready(instance)
        except self._source.errors:
            return False

    def _do(self, step: Callable[[str], None], instance: str) -> None:
        failures: tuple[type[Exception], ...] = (*self._source.errors, OSError)
        try:
            step(instance)
        except failures as error:
            raise PairError(str(error)) from error


class Cloud(BaseCloud):
    """Everything that lives in the world process."""

    account, aws_host, dns_host = names.ACCOUNT, names.AWS_HOST, names.DNS_HOST

    def open(self, port: int) -> None:
        """Start the API and its engines and create the resources. port: of all databases."""
        self._http_port = port
        self.scheme = scheme_of(self._settings["engine"] or POSTGRESQL)
        self._start_server()
        self._start_engines()
        infra.cluster(self._server.client, self.scheme)
        self._group = infra.balancing(self._server.client, port)
        self._start_balancer()
        environment = {
            swap.ADDRESSES: json.dumps(dict(names.INSTANCES)),
            swap.GROUP: self._group,
            swap.PORT: str(port),
        }
        function = self._functions.register(
            TOKYO, names.FUNCTION, swap.handler, names.FUNCTION_TIMEOUT_S, environment=environment
        )
        infra.subscriptions(self._server.client, function)

    def run(self, source: Source, replica: Replica) -> None:
        """Tie the databases to it: the replica follows through the balancer, and a marker arrives."""
        self._rds.attach(SourceInstances(source))
        self._await("the load balancer's target is known", lambda: "unhealthy" in self._nlb.states().values())
        replica.subscribe(*self._nlb.address)
        source.await_able(names.READER)
        self._await("a marker reaches the replica", lambda: self._marked(source, replica))
        self._server.misbehave(*self._settings["misbehave"])

    # -- engines ----------------------------------------------------------------------------------------------

    def _start_engines(self) -> None:
        server, clock, truth = self._server, self._clock, self._truth
        self._elb = Balancers(server)
        self._route53 = Route53(server, Arc(server, truth), self._elb, clock, truth)
        self._rds = RdsCluster(
            server,
            clock,
            truth,
            TOKYO,
            dict(names.INSTANCES),
            self._settings["rds.failover_s"],
            self._settings["rds.event_delay_s"],
        )
        self._closers.callback(self._rds.stop)
        self._functions = Functions(server, clock, truth, self._plan.state_dir)
        for engine in (
            self._functions,
            AlarmEngine(server, clock, truth),
            CanaryRunner(server, clock, truth, {}),
            Scheduler(server, clock, truth),
            Stacks(),
        ):
            self._closers.callback(engine.stop)
            engine.start()
        self._start_names(self._answer, {TOKYO: names.RESOLVER})

    def _answer(self, name: str, rtype: str, client: str) -> Answer:
        return self._rds.answer(name, rtype) or self._route53.answer(name, rtype, client)

    def _start_balancer(self) -> None:
        """The real balancer behind the target group: what is registered in the API gets its connections."""
        config = NlbConfig(
            names.BALANCER_ADDRESS,
            self._plan.port(2),
            self._clock,
            names.CHECK_PORT,
            self._settings["nlb.registration_s"],
        )
        self._nlb = NetworkBalancer(config, self._show)
        self._closers.callback(self._nlb.stop)
        self._nlb.start()
        self._elb.restrict(self._group, names.LOOPBACK_CIDR)
        self._elb.assign(names.BALANCER, TOKYO, [names.BALANCER_ADDRESS])
        first = (names.INSTANCES[names.WRITER], self._http_port)
        self._nlb.register(first, at_once=True)
        elb = self._server.client("elbv2", TOKYO)
        elb.register_targets(TargetGroupArn=self._group, Targets=targets([first]))
        self._server.tap("elbv2", {"RegisterTargets", "DeregisterTargets"}, self._follow)

    def _follow(self, call: Tapped) -> None:
        if call.params.get("TargetGroupArn") != self._group:
            return
        act = self._nlb.register if call.operation == "RegisterTargets" else self._nlb.deregister
        for target in call.params.get("Targets", ()):
            act((str(target["Id"]), int(target.get("Port") or self._http_port)))
            self._truth.record(f"nlb.{call.operation}", target=str(target["Id"]))

    def _show(self, states: Mapping[tuple[str, int], str]) -> None:
        self._elb.set_health(self._group, {f"{host}:{port}": state for (host, port), state in states.items()})

    # -- readiness --------------------------------------------------------------------------------------------

    @staticmethod
    def _marked(source: Source, replica: Replica) -> bool:
        """Whether a new marker written at the writer reaches the replica."""
        made = f"lab-{uuid.uuid4()}"
        with contextlib.suppress(*source.errors):
            source.mark(names.WRITER, made)
        return until(lambda: replica.has(made), 5.0, replica.errors)
