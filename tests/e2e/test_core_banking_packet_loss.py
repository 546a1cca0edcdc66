"""core-banking's clients who lose packets, whole: badly served, not down, seen by nobody, and better elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drill.drill import DECIDED
from drill.probes import NEW, PULSE
from drill.timeline import History, Outcome, load_history
from tests.e2e.drilling import Drilled, drill, steady

pytestmark = [pytest.mark.alone, pytest.mark.long]

SCENARIO = ("-m", "failover", "-k", "test_packets_lost_on_the_way", "--target", "core-banking")
TWIN = ("--twin", "tests/twins/core_banking_packet_loss.py", "-k", "test_moved_at_once", "--target", "core-banking")
SHORT = ("--set=objectives.rto_s=300",)
"""For the drill that must FAIL: nobody waits twice as long to see that nobody was told."""
INVALID = 11
NEVER = "0:-"


def decided_s(history: History) -> float:
    """When the operators began to act."""
    (event,) = history.named(DECIDED)
    return event.at_s


def lossy(history: History) -> Iterator[bool]:
    """Whether each quick look of a new client was good, from when the loss was felt until the operators acted."""
    (felt,) = history.named("once")
    for look in history.of(PULSE, NEW):
        if felt.at_s < look.sent_s < decided_s(history) and look.outcome is not Outcome.UNKNOWN:
            yield look.outcome is Outcome.OK


def performed(drilled: Drilled) -> list[str]:
    """The kinds of all actions, in order."""
    return [str(data["kind"]) for data in drilled.events("action")]


def test_clients_who_lose_packets_are_badly_served_until_somebody_acts(tmp_path: Path) -> None:
    """FAIL by the service level: some looks are good and some are not, no alarm rings, the automation does nothing.
    In Osaka clients are well although the experiment goes on; nothing is lost, and everything is put back."""
    drilled = drill(tmp_path, *SCENARIO, *SHORT)
    assert drilled.code == 1, drilled.output
    level = drilled.finding("service level, failover")
    assert (level["verdict"], level["data"]["held"]) == ("FAIL", True)
    history = load_history(drilled.folder)
    good = list(lossy(history))
    assert len(good) > 200
    assert 0.3 < sum(good) / len(good) < 0.9
    for alarm in ("aws.alarm.standby", "aws.alarm.observer"):
        looks = [o.value for o in history.of(alarm) if o.done_s < decided_s(history) and o.outcome is Outcome.OK]
        assert set(looks) == {"OK"}
    assert set(drilled.seen("aws.execution.initiator")) == {NEVER}
    assert performed(drilled) == ["fis.packet_loss", "states.start", "states.start"]
    assert drilled.finding("recovery point, failover")["verdict"] == "PASS"
    assert set(drilled.journal().values()) == {"restored", "reached"}


def test_moved_at_once_the_same_loss_passes(tmp_path: Path) -> None:
    """So the loss does not follow clients to Osaka, and the failover machine itself keeps the promise."""
    drilled = steady(lambda n: drill(tmp_path / f"{n}", *TWIN))
    assert drilled.code == 0, drilled.output
    assert performed(drilled) == ["fis.packet_loss", "states.start", "states.start"]


def test_an_experiment_that_loses_nothing_is_no_drill(tmp_path: Path) -> None:
    """The very same scenario with 0 %: INVALID before anybody acts, for nobody was badly served."""
    drilled = drill(tmp_path, *SCENARIO, "--lab-set", "client.loss_percent=0")
    assert drilled.code == INVALID, drilled.output
    assert "a share below 90.0% of clients served well was not seen within" in drilled.output
    assert performed(drilled) == ["fis.packet_loss"]
    assert not {f["name"] for f in drilled.verdict["findings"] if f["verdict"] == "FAIL"}
