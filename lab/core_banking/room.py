"""Opens and closes a core-banking lab: first the real processes, then the API, then the check that it serves.

What takes long starts first and side by side: the database pair in a thread, the service nursery and the load
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
from lab.core_banking import names, settings
from lab.core_banking.database import SCHEMA
from lab.core_banking.names import PATHS, PLACES, SERVING
from lab.core_banking.service import PAUSE_FLOOR_S
from lab.entrances import open_entrances
from lab.metronome import Metronome
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.postgres import PostgresPair
from lab.truth import Truth

APPS: Mapping[str, str] = {
    "Balance": "lab.core_banking.app_balance",
    "Count": "lab.core_banking.app_count",
    "Transaction": "lab.core_banking.app_transaction",
    "TransactionWorker": "lab.core_banking.app_worker",
}
DATABASE_TIMEOUT_S = 60.0


def open_room(plan: Plan, over: threading.Event) -> CoreBanking:
    """Open the lab that `plan` asks for; WorldError or OSError, and nothing left open, when it cannot be.

    `over` is set when the owner ended meanwhile: the opening is then given up.
    """
    values = settings.read(plan.settings)
    serving = [PLACES[region] for region in SERVING]
    balancers = [address for place in serving for address in place.balancers]
    databases = [place.database for place in serving]
    require_loopback(plan, names.addresses(), names.AWS_HOST, names.dns_addresses(), balancers, databases)
    return opened(CoreBanking(plan, values, over))


class CoreBanking:
    """A running core-banking system."""

    def __init__(self, plan: Plan, values: Mapping[str, Any], over: threading.Event) -> None:
        self._plan, self._settings, self._over = plan, values, over
        self._clock = LabClock.starting_now(plan.speed)
        self._truth = Truth(plan.state_dir, self._clock)
        self._closers = contextlib.ExitStack()
        self._balancers: dict[str, BalancerProcess] = {}

    # -- life ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start everything; returns when a deposit has settled."""
        pair = self._start_database()
        runner = self._start_tasks(pair)
        self._start_balancers(runner)
        from lab.core_banking.cloud import Cloud  # late: moto's import takes a second that the above can use

        self._cloud = Cloud(self._plan, self._settings, self._clock, self._truth, self._over)
        self._closers.callback(self._cloud.close)
        self._closers.callback(runner.close)
        self._cloud.open(pair, runner, self._balancers)
        self._database_up.result(DATABASE_TIMEOUT_S)
        self._cloud.run()
        self._truth.begin()
        self._admit_floors()
        metronome = Metronome(self._clock, self._truth)
        self._closers.callback(metronome.stop)
        metronome.start()
        self._truth.record("lab.ready")

    def _admit_floors(self) -> None:
        """Some loops have a shortest pause in wall time; at a high speed it is longer than what it stands for."""
        speed, pause_s = self._clock.speed, self._settings["worker.pause_s"]
        check = BalancerConfig("", (), 0, (), self._clock)
        self._truth.took("health check interval", check.check_interval_s, check.check_pause_s * speed)
        self._truth.took("worker pause", pause_s, max(pause_s, PAUSE_FLOOR_S * speed))

    def describe(self) -> Mapping[str, Any]:
        """The LabInfo of this lab, as JSON."""
        return self._cloud.info().to_json()

    def close(self) -> None:
        """End everything: first what carries traffic, so that nobody waits for a drain, then the rest."""
        for balancer in self._balancers.values():
            balancer.stop()
        self._closers.close()

    # -- parts ------------------------------------------------------------------------------------------------

    def _start_database(self) -> PostgresPair:
        hosts = {region: PLACES[region].database for region in SERVING}
        ports = None if self._plan.port_base is None else dict.fromkeys(SERVING, self._plan.port(3))
        pair = PostgresPair(self._plan.state_dir / "postgres", hosts, ports)
        self._closers.callback(pair.stop)
        thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="database")
        self._closers.callback(thread.shutdown)
        self._database_up = thread.submit(pair.start, SCHEMA)
        return pair

    def _start_tasks(self, pair: PostgresPair) -> tasks.Tasks:
        specs = [
            tasks.ServiceSpec(
                names.service_name(region, service), f"{APPS[service]}:run", service if service in PATHS else None
            )
            for region in SERVING
            for service in names.SERVICES
        ]
        networks = {region: PLACES[region].network for region in SERVING}
        runner = tasks.Tasks(
            {spec.name: spec for spec in specs},
            networks,
            lambda region, _: self._task_config(region, pair),
            list(APPS.values()),
            self._clock,
            self._truth,
        )
        self._closers.callback(runner.close)
        runner.open()
        return runner

    def _task_config(self, region: str, pair: PostgresPair) -> Mapping[str, Any]:
        return {
            "clock": asdict(self._clock),
            "aws_host": names.AWS_HOST,
            "aws_port": self._cloud.aws_port,
            "table": names.main_table(),
            "param_table": names.param_table(region),
            "api_host": PLACES[region].balancers[0],
            "api_port": self._balancers[region].port,
            "conninfo": pair.conninfo(region),
            "worker_pause_s": self._settings["worker.pause_s"],
            "truth_dir": str(self._plan.state_dir),
        }

    def _start_balancers(self, runner: tasks.Tasks) -> None:
        """One port for all addresses of both Regions, since api.example.com moves between them."""
        addresses = {region: PLACES[region].balancers for region in SERVING}
        rules = [Rule(path, service) for service, path in PATHS.items()]
        self._balancers = open_entrances(
            self._plan, self._clock, addresses, dict.fromkeys(SERVING, rules), self._health_listener, self._closers
        )
        for region, balancer in self._balancers.items():
            runner.attach(region, balancer)

    def _health_listener(self, region: str) -> Any:
        """The API exists only later, and only then has a target a health to show."""
        return lambda service, states: self._cloud.set_health(region, service, states)
