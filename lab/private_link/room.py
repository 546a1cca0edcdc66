"""Opens and closes a private-link-replication lab: the databases start while this process imports moto."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lab import ports
from lab.base_room import BaseRoom
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.private_link import engines, names, settings

if TYPE_CHECKING:
    from lab.private_link.cloud import Cloud


def open_room(plan: Plan, over: threading.Event) -> PrivateLink:
    """Open the lab that `plan` asks for; WorldError or OSError, and nothing left open, when it cannot be.

    `over` is set when the owner ended meanwhile: the opening is then given up.
    """
    values = settings.read(plan.settings)
    dns, http = names.dns_addresses(), [names.BALANCER_ADDRESS]
    require_loopback(plan, names.addresses(), names.AWS_HOST, dns, http, names.database_addresses())
    return opened(PrivateLink(plan, values, over))


class PrivateLink(BaseRoom["Cloud"]):
    """A running private-link-replication system: a marker written at the source has reached the replica."""

    def _start(self) -> None:
        self._port = self._plan.port(3) or ports.free_port_on(names.database_addresses())
        self._start_databases(self._port)

    def _cloud_class(self) -> type[Cloud]:
        from lab.private_link.cloud import Cloud

        return Cloud

    def _open_cloud(self) -> None:
        self._cloud.open(self._port)

    def _run_cloud(self) -> None:
        self._cloud.run(self._source, self._replica)

    def _start_databases(self, port: int) -> None:
        folder, retry_wall_s = self._plan.state_dir, self._clock.wall_s(self._settings["replica.retry_s"])
        engine = self._settings["engine"] or engines.POSTGRESQL
        self._source, self._replica = engines.databases(engine, folder, port, retry_wall_s)
        self._come_up([self._source.start, self._replica.start], [self._source.stop, self._replica.stop])
