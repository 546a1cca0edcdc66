"""Opens and closes an event-bus lab: the nursery and the load balancers first, while this process imports moto."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lab import tasks
from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock
from lab.entrances import open_entrances
from lab.event_bus import names, settings
from lab.event_bus.names import PLACES, SERVING
from lab.metronome import Metronome
from lab.opening import opened, require_loopback
from lab.plan import Plan
from lab.truth import Truth

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


class EventBus:
    """A running event bus."""

    def __init__(self, plan: Plan, values: Mapping[str, Any], over: threading.Event) -> None:
        self._plan, self._settings, self._over = plan, values, over
        self._clock = LabClock.starting_now(plan.speed)
        self._truth = Truth(plan.state_dir, self._clock)
        self._closers = contextlib.ExitStack()
        self._balancers: dict[str, BalancerProcess] = {}

    def open(self) -> None:
        """Start everything; returns when events are delivered."""
        runner = self._start_tasks()
        addresses = {region: place.consumers for region, place in PLACES.items()}
        rules = {region: [Rule("/", names.CONSUMER)] for region in SERVING}
        self._balancers = open_entrances(
            self._plan, self._clock, addresses, rules, self._health_listener, self._closers
        )
        for region, balancer in self._balancers.items():
            runner.attach(region, balancer)
        from lab.event_bus.cloud import Cloud  # late: moto's import takes a second that the above can use

        self._cloud = Cloud(self._plan, self._settings, self._clock, self._truth, self._over)
        self._closers.callback(self._cloud.close)
        self._closers.callback(runner.close)
        self._cloud.open(runner, self._balancers)
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

    def _start_tasks(self) -> tasks.Tasks:
        runner = tasks.Tasks(
            {names.CONSUMER: tasks.ServiceSpec(names.CONSUMER, f"{APP}:run", names.CONSUMER)},
            {region: PLACES[region].network for region in SERVING},
            lambda region, spec: {"clock": asdict(self._clock)},
            [APP],
            self._clock,
            self._truth,
        )
        self._closers.callback(runner.close)
        runner.open()
        return runner

    def _health_listener(self, region: str) -> Any:
        """The API exists only later, and only then has a target a health to show."""
        return lambda service, states: self._cloud.set_health(region, states)
