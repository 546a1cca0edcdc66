"""core-banking and clients who lose packets on their way to Tokyo: the public document's own experiment.

AWS FIS lets 30 % of what Tokyo's load balancer sends to the clients' host be lost. No canary runs there: all three
are healthy, no alarm rings, and the automation has nothing to go by. Clients are not without the service, they have
a bad one: FAIL names the service level. In Osaka the load balancer has other addresses, so there the loss is none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from checks.brown_out import below_level
from checks.conditions import served_from, shown
from drill.drill import Drill
from drill.target import Target
from faults.events_rule import SetRuleState
from faults.packet_loss import LosePackets
from faults.start_machine import StartStateMachine
from scenarios.core_banking import MACHINE_S, home_afterwards, look_first
from scenarios.pausing import EXPERIMENT_S

pytestmark = pytest.mark.system("core-banking")


@pytest.mark.needs("loss_experiment", "an experiment template of FIS by which clients lose packets")
@pytest.mark.needs("client_instance", "the instance that the experiment is run on, from which the drill is run too")
@pytest.mark.failover(windows=("failover",))
def test_packets_lost_on_the_way(drill: Drill, target: Target) -> None:
    """Clients lose packets from Tokyo, and the armed automation, which sees healthy canaries, has the RTO to do
    something. Then the operators disarm it and start the failover machine: with the loss still there clients are
    served well again, from Osaka. The promise is that they are badly served no longer than the RTO."""
    standby, rto_s = target.regions.standby, target.objectives.rto_s
    look_first(drill, target)

    with home_afterwards(drill, target):
        drill.start_load()
        drill.steady(for_s=target.timings.baseline_s)
        with drill.window("failover", survivor=standby), packets_lost(drill, target):
            with drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")):
                drill.decide(after_s=rto_s)
            if not drill.look("moved by itself", lambda: moved(drill, standby)):
                drill.perform(StartStateMachine(target.resource("failover_machine"), timeout_s=MACHINE_S))
            drill.until(served_from(target, standby), timeout_s=rto_s + target.timings.window_s)
            drill.settle(standby)


@contextlib.contextmanager
def packets_lost(drill: Drill, target: Target) -> Iterator[None]:
    """Clients lose packets until the block ends, however it ends, and are badly served by it: without that nothing
    that follows would mean anything."""
    loss, client = target.resource("loss_experiment"), target.resource("client_instance")
    with drill.performed(LosePackets(loss, client, timeout_s=EXPERIMENT_S)):
        drill.once(below_level(target), timeout_s=target.timings.bite_s)
        yield


def moved(drill: Drill, standby: str) -> bool:
    """Whether the automation has moved the system, or is about it."""
    moving = shown(drill.timeline, "aws.execution.failover").endswith(":RUNNING")
    return moving or shown(drill.timeline, "aws.writer") == standby
