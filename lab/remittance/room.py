"""Opens and closes a remittance lab: first the real processes, then the API, then the check that it serves."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lab import ports
from lab.balancer import Rule
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.postgres import PostgresPair
from lab.remittance import names, settings
from lab.remittance.functions import SCHEMA
from lab.remittance.names import PLACES, SERVING
from lab.serving_room import ServingRoom
from lab.tasks import ServiceSpec

if TYPE_CHECKING:
    from lab.remittance.cloud import Cloud

GATEWAY, EDGE = "gateway", "edge"
APPS = {GATEWAY: "lab.remittance.gateway", EDGE: "lab.remittance.edge"}


def open_room(plan: Plan, over: threading.Event) -> Remittance:
    """Open the lab that `plan` asks for; WorldError or OSError, and nothing left open, when it cannot be.

    `over` is set when the owner ended meanwhile: the opening is then given up.
    """
    values = settings.read(plan.settings)
    require_loopback(
        plan, names.addresses(), names.AWS_HOST, names.dns_addresses(), names.entrances(), names.databases()
    )
    return opened(Remittance(plan, values, over))


class Remittance(ServingRoom["Cloud"]):
    """A running remittance system: a remittance was made and read back when it is open."""

    def _start(self) -> None:
        self._start_database()
        self._start_tasks(
            [ServiceSpec(name, f"{app}:run", name) for name, app in APPS.items()],
            {EDGE: names.EDGE_NETWORK, **{region: PLACES[region].network for region in SERVING}},
            lambda region, _: self._task_config(region),
            list(APPS.values()),
        )
        addresses = {EDGE: names.EDGE, **{region: PLACES[region].gateways for region in SERVING}}
        rules = {name: [Rule("/", EDGE if name == EDGE else GATEWAY)] for name in addresses}
        self._start_balancers(addresses, rules, lambda _: lambda group, states: None)

    def _cloud_class(self) -> type[Cloud]:
        from lab.remittance.cloud import Cloud

        return Cloud

    def _serve(self) -> None:
        self._cloud.open(self._pair, self._runner, self._balancers)

    def _run_cloud(self) -> None:
        self._cloud.run()

    def _start_database(self) -> None:
        hosts = {region: PLACES[region].database for region in SERVING}
        # The secret names one port, and only its host changes when the writer moves.
        port = self._plan.port(3) or ports.free_port_on(hosts.values())
        lag_wall_s = self._clock.wall_s(self._settings["rds.replication_lag_s"])
        folder = self._plan.state_dir / "postgres"
        self._pair = PostgresPair(folder, hosts, dict.fromkeys(SERVING, port), lag_wall_s=lag_wall_s)
        self._come_up([lambda: self._pair.start(SCHEMA)], [self._pair.stop])

    def _task_config(self, region: str) -> Mapping[str, Any]:
        if region == EDGE:
            return self._cloud.edge_config()
        return {"clock": asdict(self._clock), **self._cloud.gateway_config()}
