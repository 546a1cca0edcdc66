"""Opens and closes a private-link-replication lab: the databases start while this process imports moto."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Mapping
from typing import Any

from lab import ports
from lab.clock import LabClock
from lab.metronome import Metronome
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.private_link import engines, names, settings
from lab.truth import Truth

DATABASE_TIMEOUT_S = 60.0


def open_room(plan: Plan, over: threading.Event) -> PrivateLink:
    """Open the lab that `plan` asks for; WorldError or OSError, and nothing left open, when it cannot be.

    `over` is set when the owner ended meanwhile: the opening is then given up.
    """
    values = settings.read(plan.settings)
    dns, http = names.dns_addresses(), [names.BALANCER_ADDRESS]
    require_loopback(plan, names.addresses(), names.AWS_HOST, dns, http, names.database_addresses())
    return opened(PrivateLink(plan, values, over))


class PrivateLink:
    """A running private-link-replication system."""

    def __init__(self, plan: Plan, values: Mapping[str, Any], over: threading.Event) -> None:
        self._plan, self._settings, self._over = plan, values, over
        self._clock = LabClock.starting_now(plan.speed)
        self._truth = Truth(plan.state_dir, self._clock)
        self._closers = contextlib.ExitStack()

    def open(self) -> None:
        """Start everything; returns when a marker written at the source has reached the replica."""
        port = self._plan.port(3) or ports.free_port_on(names.database_addresses())
        up = self._start_databases(port)
        from lab.private_link.cloud import Cloud  # late: moto's import takes a second that the above can use

        self._cloud = Cloud(self._plan, self._settings, self._clock, self._truth, self._over)
        self._closers.callback(self._cloud.close)
        self._cloud.open(port)
        for one in up:
            one.result(DATABASE_TIMEOUT_S)
        self._cloud.run(self._source, self._replica)
        self._truth.begin()
        metronome = Metronome(self._clock, self._truth)
        self._closers.callback(metronome.stop)
        metronome.start()
        self._truth.record("lab.ready")

    def describe(self) -> Mapping[str, Any]:
        """The LabInfo of this lab, as JSON."""
        return self._cloud.info().to_json()

    def close(self) -> None:
        """End everything, newest first."""
        self._closers.close()

    def _start_databases(self, port: int) -> list[concurrent.futures.Future[None]]:
        folder, retry_wall_s = self._plan.state_dir, self._clock.wall_s(self._settings["replica.retry_s"])
        engine = self._settings["engine"] or engines.POSTGRESQL
        self._source, self._replica = engines.databases(engine, folder, port, retry_wall_s)
        pool = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="database")
        self._closers.callback(self._source.stop)
        self._closers.callback(self._replica.stop)
        self._closers.callback(pool.shutdown)
        return [pool.submit(self._source.start), pool.submit(self._replica.start)]
