"""What the rooms of systems have in common whose services are processes behind load balancers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.base_room import BaseRoom, C
from lab.entrances import Health, open_entrances
from lab.tasks import ServiceSpec, Tasks


class ServingRoom(BaseRoom[C]):
    """The nursery of the services and the load balancers start while this process imports moto."""

    _runner: Tasks
    _balancers: Mapping[str, BalancerProcess] = {}

    def close(self) -> None:
        """End everything: first what carries traffic, so that nobody waits for a drain, then the rest."""
        for balancer in self._balancers.values():
            balancer.stop()
        super().close()

    @abstractmethod
    def _serve(self) -> None:
        """Open the cloud with the runner and the balancers."""

    def _open_cloud(self) -> None:
        # Ended before the cloud is: what still runs must not talk to an API that is gone.
        self._closers.callback(self._runner.close)
        self._serve()

    def _admit_floors(self) -> None:
        """The checks have a shortest pause in wall time; at a high speed it is longer than what it stands for."""
        check = BalancerConfig("", (), 0, (), self._clock)
        self._truth.took("health check interval", check.check_interval_s, check.check_pause_s * self._clock.speed)

    def _start_tasks(
        self,
        specs: Iterable[ServiceSpec],
        networks: Mapping[str, str],
        config_of: Callable[[str, ServiceSpec], Mapping[str, Any]],
        apps: Sequence[str],
    ) -> None:
        """Start the nursery. networks: Region -> its loopback network; apps: modules to import beforehand."""
        named = {spec.name: spec for spec in specs}
        self._runner = Tasks(named, networks, config_of, list(apps), self._clock, self._truth)
        self._closers.callback(self._runner.close)
        self._runner.open()

    def _start_balancers(
        self,
        addresses: Mapping[str, Sequence[str]],
        rules: Mapping[str, Sequence[Rule]],
        listener: Callable[[str], Health],
    ) -> None:
        """One port for the addresses of all Regions, since names move between them."""
        self._balancers = open_entrances(self._plan, self._clock, addresses, rules, listener, self._closers)
        for region, balancer in self._balancers.items():
            self._runner.attach(region, balancer)
