"""Twins of core-banking's clients who lose packets: the same steps with one thing otherwise.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

from checks.conditions import served_from
from drill.drill import Drill
from drill.target import Target
from faults.start_machine import StartStateMachine
from scenarios.core_banking import MACHINE_S, home_afterwards, look_first
from scenarios.test_core_banking_packet_loss import packets_lost


def test_moved_at_once(drill: Drill, target: Target) -> None:
    """The operators move the system as soon as clients are badly served: they are served well again within the RTO
    though packets from Tokyo are lost as before, PASS. So the scenario's FAIL is that nobody is told, and not a loss
    that follows clients to Osaka."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)
    with home_afterwards(drill, target):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with drill.window("failover", survivor=standby), packets_lost(drill, target):
            drill.perform(StartStateMachine(target.resource("failover_machine"), timeout_s=MACHINE_S))
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)
