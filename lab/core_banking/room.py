"""Opens and closes a core-banking lab: first the real processes, then the API, then the check that it serves.

What takes long starts first and side by side: the database pair in a thread, the service nursery and the load
balancers as processes of their own, while this process imports moto.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lab.balancer import Rule
from lab.core_banking import names, settings
from lab.core_banking.database import SCHEMA
from lab.core_banking.names import PATHS, PLACES, SERVING
from lab.core_banking.service import PAUSE_FLOOR_S
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.postgres import PostgresPair
from lab.serving_room import ServingRoom
from lab.tasks import ServiceSpec

if TYPE_CHECKING:
    from lab.core_banking.cloud import Cloud

APPS: Mapping[str, str] = {
    "Balance": "lab.core_banking.app_balance",
    "Count": "lab.core_banking.app_count",
    "Transaction": "lab.core_banking.app_transaction",
    "TransactionWorker": "lab.core_banking.app_worker",
}


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


class CoreBanking(ServingRoom["Cloud"]):
    """A running core-banking system: a deposit has settled when it is open."""

    def _start(self) -> None:
        hosts = {region: PLACES[region].database for region in SERVING}
        ports = None if self._plan.port_base is None else dict.fromkeys(SERVING, self._plan.port(3))
        self._pair = PostgresPair(self._plan.state_dir / "postgres", hosts, ports)
        self._come_up([lambda: self._pair.start(SCHEMA)], [self._pair.stop])
        networks = {region: PLACES[region].network for region in SERVING}
        self._start_tasks(_specs(), networks, lambda region, _: self._task_config(region), list(APPS.values()))
        rules = [Rule(path, service) for service, path in PATHS.items()]
        addresses = {region: PLACES[region].balancers for region in SERVING}
        self._start_balancers(addresses, dict.fromkeys(SERVING, rules), self._health_listener)

    def _cloud_class(self) -> type[Cloud]:
        from lab.core_banking.cloud import Cloud

        return Cloud

    def _serve(self) -> None:
        self._cloud.open(self._pair, self._runner, self._balancers)

    def _run_cloud(self) -> None:
        self._cloud.run()

    def _admit_floors(self) -> None:
        super()._admit_floors()
        pause_s = self._settings["worker.pause_s"]
        self._truth.took("worker pause", pause_s, max(pause_s, PAUSE_FLOOR_S * self._clock.speed))

    def _task_config(self, region: str) -> Mapping[str, Any]:
        return {
            "clock": asdict(self._clock),
            "aws_host": names.AWS_HOST,
            "aws_port": self._cloud.aws_port,
            "table": names.main_table(),
            "param_table": names.param_table(region),
            "api_host": PLACES[region].balancers[0],
            "api_port": self._balancers[region].port,
            "conninfo": self._pair.conninfo(region),
            "worker_pause_s": self._settings["worker.pause_s"],
            "truth_dir": str(self._plan.state_dir),
        }

    def _health_listener(self, region: str) -> Any:
        """The API exists only later, and only then has a target a health to show."""
        return lambda service, states: self._cloud.set_health(region, service, states)


def _specs() -> list[ServiceSpec]:
    return [
        ServiceSpec(
            names.service_name(region, service), f"{APPS[service]}:run", service if service in PATHS else None
        )
        for region in SERVING
        for service in names.SERVICES
    ]
