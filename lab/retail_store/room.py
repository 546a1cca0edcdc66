"""Opens and closes a retail-store lab: first the real processes, then the API, then the check that it serves.

What takes long starts first and side by side: the two database pairs in threads, the service nursery and the load
balancers as processes of their own, while this process imports moto.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lab import ports, tasks
from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock
from lab.metronome import Metronome
from lab.plan import Plan, WorldError
from lab.postgres import PostgresPair
from lab.postgres_programs import PostgresError
from lab.postgres_seed import Seed
from lab.processes import ChildError
from lab.retail_store import names, settings
from lab.retail_store.names import DATABASES, PATHS, PLACES, SERVING, WEST
from lab.retail_store.stock import SCHEMAS
from lab.truth import Truth

APP = "lab.retail_store.app"
HTTP_ATTEMPTS = 5
DATABASE_TIMEOUT_S = 60.0


def open_room(plan: Plan, over: threading.Event) -> RetailStore:
    """Open the lab that `plan` asks for; WorldError or OSError, and nothing left open, when it cannot be.

    `over` is set when the owner ended meanwhile: the opening is then given up.
    """
    values = settings.read(plan.settings)
    _require_loopback(plan)
    room = RetailStore(plan, values, over)
    try:
        room.open()
    except (PostgresError, ChildError) as error:
        room.close()
        raise WorldError(f"the lab did not come up: {error}") from error
    except BaseException:
        room.close()
        raise
    return room


def _require_loopback(plan: Plan) -> None:
    """WorldError when the machine lacks an address, or a fixed port is taken, before anything is started."""
    ports.require_addresses(names.addresses())
    if plan.port_base is None:
        return
    tcp, both = (socket.SOCK_STREAM,), (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    balancers = [address for place in PLACES.values() for address in place.balancers]
    wanted = (
        ([names.AWS_HOST], tcp),
        (names.dns_addresses(), both),
        (balancers, tcp),
        (names.database_addresses(), tcp),
    )
    for offset, (hosts, kinds) in enumerate(wanted):
        ports.require_free(plan.port(offset), hosts, plan.port_base, kinds)


class RetailStore:
    """A running retail store."""

    def __init__(self, plan: Plan, values: Mapping[str, Any], over: threading.Event) -> None:
        self._plan, self._settings, self._over = plan, values, over
        self._clock = LabClock.starting_now(plan.speed)
        self._truth = Truth(plan.state_dir, self._clock)
        self._closers = contextlib.ExitStack()
        self._balancers: dict[str, BalancerProcess] = {}

    # -- life ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start everything; returns when every page is served in both Regions."""
        self._start_databases()
        runner = self._start_tasks()
        self._start_balancers(runner)
        from lab.retail_store.cloud import Cloud  # late: moto's import takes a second that the above can use

        self._cloud = Cloud(self._plan, self._settings, self._clock, self._truth, self._over)
        self._closers.callback(self._cloud.close)
        self._closers.callback(runner.close)
        self._cloud.open(self._pairs, runner, self._balancers)
        for up in self._databases_up:
            up.result(DATABASE_TIMEOUT_S)
        self._cloud.run()
        self._truth.begin()
        check = BalancerConfig("", (), 0, (), self._clock)
        # The checks have a shortest pause in wall time; at a high speed it is longer than what it stands for.
        self._truth.took("health check interval", check.check_interval_s, check.check_pause_s * self._clock.speed)
        metronome = Metronome(self._clock, self._truth)
        self._closers.callback(metronome.stop)
        metronome.start()
        self._truth.record("lab.ready")

    def describe(self) -> Mapping[str, Any]:
        """The LabInfo of this lab, as JSON."""
        return self._cloud.info().to_json()

    def close(self) -> None:
        """End everything: first what carries traffic, so that nobody waits for a drain, then the rest."""
        for balancer in self._balancers.values():
            balancer.stop()
        self._closers.close()

    # -- parts ------------------------------------------------------------------------------------------------

    def _start_databases(self) -> None:
        folder = self._plan.state_dir
        seed = Seed(folder / "postgres-seed")
        fixed = None if self._plan.port_base is None else dict.fromkeys(SERVING, self._plan.port(3))
        lag_wall_s = self._clock.wall_s(self._settings["rds.replication_lag_s"])
        self._pairs = {
            name: PostgresPair(
                folder / f"postgres-{name}",
                {region: PLACES[region].database(name) for region in SERVING},
                fixed,
                lag_wall_s=lag_wall_s,
                seed=seed,
            )
            for name in DATABASES
        }
        pool = concurrent.futures.ThreadPoolExecutor(len(DATABASES), thread_name_prefix="database")
        for pair in self._pairs.values():
            self._closers.callback(pair.stop)
        self._closers.callback(pool.shutdown)
        self._databases_up = [pool.submit(pair.start, SCHEMAS[name]) for name, pair in self._pairs.items()]

    def _start_tasks(self) -> tasks.Tasks:
        specs = [tasks.ServiceSpec(names.service_name(service), f"{APP}:run", service) for service in names.SERVICES]
        runner = tasks.Tasks(
            {spec.name: spec for spec in specs},
            {region: PLACES[region].network for region in SERVING},
            lambda region, spec: self._task_config(region, str(spec.group)),
            [APP],
            self._clock,
            self._truth,
        )
        self._closers.callback(runner.close)
        runner.open()
        return runner

    def _task_config(self, region: str, service: str) -> Mapping[str, Any]:
        pair = self._pairs.get(service)
        reads = pair.conninfo(region) if pair else ""
        forwards = pair is not None and region == WEST  # the template turns write forwarding on there only
        return {
            "clock": asdict(self._clock),
            "service": service,
            "aws_host": names.AWS_HOST,
            "aws_port": self._cloud.aws_port,
            "table": names.CARTS_TABLE,
            "api_host": PLACES[region].internal[0],
            "api_port": self._balancers[region].port,
            "reads": reads,
            "writes": pair.forwarding(region) if pair and forwards else reads,
        }

    def _start_balancers(self, runner: tasks.Tasks) -> None:
        """One port for all addresses of both Regions, since store.demo.io moves between them."""
        for attempt in range(HTTP_ATTEMPTS):
            addresses = [address for place in PLACES.values() for address in place.balancers]
            port = self._plan.port(2) or ports.free_port_on(addresses)
            try:
                self._balancers = self._balancers_on(port)
                break
            except OSError as error:  # somebody took the free port just now
                if self._plan.port_base is not None or attempt == HTTP_ATTEMPTS - 1:
                    raise OSError(error.errno, f"HTTP port {port}: {error.strerror}") from error
        for region, balancer in self._balancers.items():
            runner.attach(region, balancer)

    def _balancers_on(self, port: int) -> dict[str, BalancerProcess]:
        rules = [Rule(path, service) for service, path in PATHS.items()]
        made = {}
        for region in SERVING:
            config = BalancerConfig(region, PLACES[region].balancers, port, rules, self._clock)
            made[region] = BalancerProcess(config, self._health_listener(region))
            self._closers.callback(made[region].stop)
        for balancer in made.values():
            balancer.start()
        return made

    def _health_listener(self, region: str) -> Any:
        """The API exists only later, and only then has a target a health to show."""
        return lambda service, states: self._cloud.set_health(region, service, states)
