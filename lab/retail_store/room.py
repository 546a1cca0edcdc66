"""Opens and closes a retail-store lab: first the real processes, then the API, then the check that it serves.

What takes long starts first and side by side: the two database pairs in threads, the service nursery and the load
balancers as processes of their own, while this process imports moto.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from lab.balancer import Rule
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.postgres import PostgresPair
from lab.postgres_seed import Seed
from lab.retail_store import names, settings
from lab.retail_store.names import DATABASES, PATHS, PLACES, SERVING, WEST
from lab.retail_store.stock import SCHEMAS
from lab.serving_room import ServingRoom
from lab.tasks import ServiceSpec

if TYPE_CHECKING:
    from lab.retail_store.cloud import Cloud

APP = "lab.retail_store.app"


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


class RetailStore(ServingRoom["Cloud"]):
    """A running retail store: every page is served in both Regions when it is open."""

    def _start(self) -> None:
        self._start_databases()
        networks = {region: PLACES[region].network for region in SERVING}
        specs = [ServiceSpec(names.service_name(service), f"{APP}:run", service) for service in names.SERVICES]
        self._start_tasks(specs, networks, lambda region, spec: self._task_config(region, str(spec.group)), [APP])
        addresses = {region: PLACES[region].balancers for region in SERVING}
        rules = {region: [Rule(path, service) for service, path in PATHS.items()] for region in SERVING}
        self._start_balancers(addresses, rules, self._health_listener)

    def _cloud_class(self) -> type[Cloud]:
        from lab.retail_store.cloud import Cloud

        return Cloud

    def _serve(self) -> None:
        self._cloud.open(self._pairs, self._runner, self._balancers)

    def _run_cloud(self) -> None:
        self._cloud.run()

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
        starts = [partial(pair.start, SCHEMAS[name]) for name, pair in self._pairs.items()]
        self._come_up(starts, [pair.stop for pair in self._pairs.values()])

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

    def _health_listener(self, region: str) -> Any:
        """The API exists only later, and only then has a target a health to show."""
        return lambda service, states: self._cloud.set_health(region, service, states)
