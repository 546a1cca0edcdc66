"""Opens and closes a retail-store lab: first the real processes, then the API, then the check that it serves.

What takes long starts first and side by side: the two database pairs in threads, the service nursery and the load
balancers as processes of their own, while this process imports moto.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lab import tasks
from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock
from lab.entrances import open_entrances
from lab.metronome import Metronome
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.postgres import PostgresPair
from lab.postgres_seed import Seed
from lab.retail_store import names, settings
from lab.retail_store.names import DATABASES, PATHS, PLACES, SERVING, WEST
from lab.retail_store.stock import SCHEMAS
from lab.truth import Truth

APP = "lab.retail_store.app"
DATABASE_TIMEOUT_S = 60.0


def open_room(plan: Plan, over: threading.Event) -> RetailStore:
    """Open the lab that `plan` asks for; WorldError or OSError, and nothing left open, when it cannot be.

    `over` is set when the owner ended meanwhile: the opening is then given up.
    """
    values = settings.read(plan.settings)
    balancers = [address for place in PLACES.values() for address in place.balancers]
    require_loopback(
        plan, names.addresses(), names.AWS_HOST, names.dns_addresses(), balancers, names.database_addresses()
    )
    return opened(RetailStore(plan, values, over))


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
        addresses = {region: PLACES[region].balancers for region in SERVING}
        rules = {region: [Rule(path, service) for service, path in PATHS.items()] for region in SERVING}
        self._balancers = open_entrances(
            self._plan, self._clock, addresses, rules, self._health_listener, self._closers
        )
        for region, balancer in self._balancers.items():
            runner.attach(region, balancer)

    def _health_listener(self, region: str) -> Any:
        """The API exists only later, and only then has a target a health to show."""
        return lambda service, states: self._cloud.set_health(region, service, states)
