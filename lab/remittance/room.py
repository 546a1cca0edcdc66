"""Opens and closes a remittance lab: first the real processes, then the API, then the check that it serves."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lab import ports, tasks
from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock
from lab.entrances import open_entrances
from lab.metronome import Metronome
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.postgres import PostgresPair
from lab.remittance import names, settings
from lab.remittance.functions import SCHEMA
from lab.remittance.names import PLACES, SERVING
from lab.truth import Truth

GATEWAY, EDGE = "gateway", "edge"
APPS = {GATEWAY: "lab.remittance.gateway", EDGE: "lab.remittance.edge"}
DATABASE_TIMEOUT_S = 60.0


def open_room(plan: Plan, over: threading.Event) -> Remittance:
    """Open the lab that `plan` asks for; WorldError or OSError, and nothing left open, when it cannot be.

    `over` is set when the owner ended meanwhile: the opening is then given up.
    """
    values = settings.read(plan.settings)
    require_loopback(
        plan, names.addresses(), names.AWS_HOST, names.dns_addresses(), names.entrances(), names.databases()
    )
    return opened(Remittance(plan, values, over))


class Remittance:
    """A running remittance system."""

    def __init__(self, plan: Plan, values: Mapping[str, Any], over: threading.Event) -> None:
        self._plan, self._settings, self._over = plan, values, over
        self._clock = LabClock.starting_now(plan.speed)
        self._truth = Truth(plan.state_dir, self._clock)
        self._closers = contextlib.ExitStack()
        self._entrances: dict[str, BalancerProcess] = {}

    def open(self) -> None:
        """Start everything; returns when a remittance was made and read back."""
        pair = self._start_database()
        runner = self._start_tasks()
        self._start_entrances(runner)
        from lab.remittance.cloud import Cloud  # late: moto's import takes a second that the above can use

        self._cloud = Cloud(self._plan, self._settings, self._clock, self._truth, self._over)
        self._closers.callback(self._cloud.close)
        self._closers.callback(runner.close)
        self._cloud.open(pair, runner, self._entrances)
        self._database_up.result(DATABASE_TIMEOUT_S)
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
        for balancer in self._entrances.values():
            balancer.stop()
        self._closers.close()

    def _start_database(self) -> PostgresPair:
        hosts = {region: PLACES[region].database for region in SERVING}
        # The secret names one port, and only its host changes when the writer moves.
        port = self._plan.port(3) or ports.free_port_on(hosts.values())
        lag_wall_s = self._clock.wall_s(self._settings["rds.replication_lag_s"])
        folder = self._plan.state_dir / "postgres"
        pair = PostgresPair(folder, hosts, dict.fromkeys(SERVING, port), lag_wall_s=lag_wall_s)
        self._closers.callback(pair.stop)
        pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="database")
        self._closers.callback(pool.shutdown)
        self._database_up = pool.submit(pair.start, SCHEMA)
        return pair

    def _start_tasks(self) -> tasks.Tasks:
        runner = tasks.Tasks(
            {name: tasks.ServiceSpec(name, f"{app}:run", name) for name, app in APPS.items()},
            {EDGE: names.EDGE_NETWORK, **{region: PLACES[region].network for region in SERVING}},
            lambda region, _: self._task_config(region),
            list(APPS.values()),
            self._clock,
            self._truth,
        )
        self._closers.callback(runner.close)
        runner.open()
        return runner

    def _task_config(self, region: str) -> Mapping[str, Any]:
        if region == EDGE:
            return self._cloud.edge_config()
        return {"clock": asdict(self._clock), **self._cloud.gateway_config()}

    def _start_entrances(self, runner: tasks.Tasks) -> None:
        addresses = {EDGE: names.EDGE, **{region: PLACES[region].gateways for region in SERVING}}
        rules = {name: [Rule("/", EDGE if name == EDGE else GATEWAY)] for name in addresses}
        self._entrances = open_entrances(
            self._plan, self._clock, addresses, rules, lambda _: lambda group, states: None, self._closers
        )
        for region, balancer in self._entrances.items():
            runner.attach(region, balancer)
