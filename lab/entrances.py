"""The Regions' HTTP entrances of a lab: a balancer process each, all on one port, since a name moves among them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

from lab import ports
from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock
from lab.plan import Plan

HTTP_ATTEMPTS = 5
HTTP_OFFSET = 2
"""The entrances' fixed port lies so far above the lab's first."""
Health = Callable[[str, dict[tuple[str, int], str]], None]
"""Told (target group, {(host, port): state}) at every change."""


def open_entrances(
    plan: Plan,
    clock: LabClock,
    addresses: Mapping[str, Sequence[str]],
    rules: Mapping[str, Sequence[Rule]],
    listener: Callable[[str], Health],
    closers: contextlib.ExitStack,
) -> dict[str, BalancerProcess]:
    """Start a balancer for each name in `addresses` and return them when they listen; OSError when a port is taken.

    addresses: name (a Region's) -> where it listens; rules: by name; listener(name): told of targets' health;
    closers: gets what stops them.
    """
    everywhere = [address for found in addresses.values() for address in found]
    for attempt in range(HTTP_ATTEMPTS):
        port = plan.port(HTTP_OFFSET) or ports.free_port_on(everywhere)
        made = {
            name: BalancerProcess(BalancerConfig(name, found, port, rules[name], clock), listener(name))
            for name, found in addresses.items()
        }
        for balancer in made.values():
            closers.callback(balancer.stop)
        try:
            for balancer in made.values():
                balancer.start()
            return made
        except OSError as error:  # somebody took the free port just now
            if plan.port_base is not None or attempt == HTTP_ATTEMPTS - 1:
                raise OSError(error.errno, f"HTTP port {port}: {error.strerror}") from error
    raise AssertionError("unreachable")
