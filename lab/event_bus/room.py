"""Opens and closes an event-bus lab: the nursery and the load balancers first, while this process imports moto."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lab.balancer import Rule
from lab.event_bus import names, settings
from lab.event_bus.names import PLACES, SERVING
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.serving_room import ServingRoom
from lab.tasks import ServiceSpec

if TYPE_CHECKING:
    from lab.event_bus.cloud import Cloud

APP = "lab.event_bus.consumer"


def open_room(plan: Plan, over: threading.Event) -> EventBus:
    """Open the lab that `plan` asks for; WorldError or OSError, and nothing left open, when it cannot be.

    `over` is set when the owner ended meanwhile: the opening is then given up.
    """
    values = settings.read(plan.settings)
    require_loopback(
        plan, names.addresses(), names.AWS_HOST, names.dns_addresses(), names.http_addresses(), databases=()
    )
    return opened(EventBus(plan, values, over))


class EventBus(ServingRoom["Cloud"]):
    """A running event bus: events are delivered when it is open."""

    def _start(self) -> None:
        networks = {region: PLACES[region].network for region in SERVING}
        spec = ServiceSpec(names.CONSUMER, f"{APP}:run", names.CONSUMER)
        self._start_tasks([spec], networks, lambda region, spec: {"clock": asdict(self._clock)}, [APP])
        addresses = {region: place.consumers for region, place in PLACES.items()}
        rules = {region: [Rule("/", names.CONSUMER)] for region in SERVING}
        self._start_balancers(addresses, rules, self._health_listener)

    def _cloud_class(self) -> type[Cloud]:
        from lab.event_bus.cloud import Cloud

        return Cloud

    def _serve(self) -> None:
        self._cloud.open(self._runner, self._balancers)

    def _run_cloud(self) -> None:
        self._cloud.run()

    def _health_listener(self, region: str) -> Any:
        """The API exists only later, and only then has a target a health to show."""
        return lambda service, states: self._cloud.set_health(region, states)
