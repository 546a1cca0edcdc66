"""core-banking's weak points, whole: each is a FAIL for the very reason that it is about; its twins tell it apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.drilling import ATTEMPTS, Drilled, drill, widened

pytestmark = [pytest.mark.alone, pytest.mark.long]

TARGET = ("--target", "core-banking")
TWIN = ("--twin", "tests/twins/core_banking_weak_points.py", "-k")
QUICK = ("--lab-speed=20", "--set=timings.baseline_s=240")
"""For drills that must not pass: a machine too slow for it adds INVALID, which is below FAIL. The load needs
some seconds of wall time to start."""
SHORT = tuple(
    f"--set={name}" for name in ("objectives.rto_s=200", "objectives.failback_rto_s=200", "timings.window_s=260")
)
INVALID = 11
NEVER = "0:-"
FEW = 5
"""Looks of the harness that brought no answer; in 650 s there are many more."""
FLAP, MANY = "test_rule_enabled_during_failback", 40
"""Failed writes that no stall of this machine explains: a switchover lasts for 45 looks."""
SHORT_MOVE, LONG_MOVE = "--lab-set=rds.switchover_s=90", "--lab-set=rds.switchover_s=240"
"""With 90 s there is a moment for nearly every second of the minute that the canaries may have, with 240 s for none;
with the published 120 s for seven of ten (docs/decisions/0072)."""


def exposed(runs: Path, scenario: str, *arguments: str) -> Drilled:
    """That scenario, which must FAIL and leave nothing changed."""
    drilled = drill(runs, "-m", "failover", "-k", scenario, *TARGET, *QUICK, *arguments)
    assert drilled.code == 1, drilled.output
    assert set(drilled.journal().values()) <= {"restored", "reached"}
    return drilled


def kept(runs: Path, *arguments: str) -> Drilled:
    """The drill, repeated while it is INVALID: one probe that a stall of this machine holds up proves nothing."""
    for number in range(ATTEMPTS):
        drilled = drill(runs / str(number), *arguments, *TARGET)
        if drilled.code != INVALID:
            break
    return drilled


def turned_round(drilled: Drilled) -> bool:
    """Whether the failover machine has run a second time."""
    return any(value.startswith("2:") for value in drilled.seen("aws.execution.failover"))


def test_a_machine_aborted_half_way_is_finished_by_nobody(tmp_path: Path) -> None:
    """Clients are never served again, and the machine says that it was aborted."""
    drilled = exposed(tmp_path, "test_machine_aborted_half_way", *SHORT)
    assert drilled.finding("recovery time, failover")["verdict"] == "FAIL"
    notes = " ".join(drilled.verdict["notes"])
    assert "ExecutionAborted" in notes
    assert "Drill: aborted half way by a drill" in notes


def test_a_second_alarm_asks_for_what_is_there_already(tmp_path: Path) -> None:
    """The failover itself passes; the second one fails at its step SwitchOver."""
    limits = ("--set=objectives.failback_rto_s=400", "--set=timings.window_s=650")
    drilled = exposed(tmp_path, "test_second_alarm_after_failover", *limits)
    assert drilled.finding("recovery time, failover")["verdict"] != "FAIL"
    assert drilled.finding("recovery time, failback")["verdict"] == "FAIL"
    assert "ExecutionFailed" in (notes := " ".join(drilled.verdict["notes"]))
    assert "at its step SwitchOver" in notes


def test_a_second_witness_that_is_late_is_not_waited_for(tmp_path: Path) -> None:
    """The initiator gives up, and no failover machine ever ran."""
    drilled = exposed(tmp_path, "test_second_witness_late", "--set=timings.window_s=650")
    assert drilled.finding("recovery time, failover")["verdict"] == "FAIL"
    assert "MaxRetriesExceeded" in " ".join(drilled.verdict["notes"])
    rows = {row["name"]: row["interval"] for row in drilled.verdict["phases"]}
    assert rows["failover: detected"] is not None
    assert rows["failover: decided"] is None


def test_a_rule_left_enabled_turns_the_system_round_again(tmp_path: Path) -> None:
    """The failover itself passes; after the failback the failover machine has run once more, and clients paid for it.
    The moment has some seconds to spare; a drill in which a stall of this machine took them is repeated."""
    for number in range(ATTEMPTS):
        drilled = drill(tmp_path / str(number), "-m", "failover", "-k", FLAP, *TARGET, SHORT_MOVE)
        if turned_round(drilled):
            break
    else:
        pytest.fail(f"the automation did nothing in {ATTEMPTS} drills: {drilled.output}")
    assert drilled.code == 1, drilled.output
    assert set(drilled.journal().values()) <= {"restored", "reached"}
    assert drilled.finding("recovery time, failover")["verdict"] != "FAIL"
    stays = drilled.finding("stays, ap-northeast-1")
    assert stays["verdict"] == "FAIL"
    assert stays["data"]["bad"] >= MANY


def test_a_failback_that_takes_longer_is_seen_running(tmp_path: Path) -> None:
    """The other half of the published sentence: the alarm rings while the failback runs, the initiator says so and
    quits, nothing is turned round, and Tokyo goes on serving once it is open."""
    drilled = kept(tmp_path, "-m", "failover", "-k", FLAP, LONG_MOVE)
    assert drilled.code == 0, drilled.output
    assert not turned_round(drilled)
    assert "ConcurrentExecutionDetected" in " ".join(drilled.verdict["notes"])
    assert drilled.finding("stays, ap-northeast-1")["verdict"] == "PASS"


def test_a_rule_without_targets_calls_nobody(tmp_path: Path) -> None:
    """The alarm rings while the rule is enabled, and no initiator ever runs: FAIL, and the target is put back."""
    rule = 'failover_targets = { region = "ap-northeast-3", name = "BLEAFSI-CoreBanking-*" }'
    twin = ("--twin", "tests/twins/core_banking.py", "-k", "test_rule_without_targets")
    drilled = drill(tmp_path, *twin, f"--target={widened(tmp_path, {}, rule)}", *SHORT)
    assert drilled.code == 1, drilled.output
    assert "never recovered" in drilled.finding("recovery time, failover")["reason"]
    assert "ALARM" in drilled.seen("aws.alarm.standby")
    assert set(drilled.seen("aws.execution.initiator")) == {NEVER}
    kinds = [event["kind"] for event in drilled.events("fault.injected")]
    assert kinds == ["events.rule", "events.targets", "ecs.scale"]
    assert set(drilled.journal().values()) == {"restored"}


def test_an_alarm_whose_actions_are_off_is_heard_all_the_same(tmp_path: Path) -> None:
    """PASS: the rule is told of the change of state and the initiator runs, while ActionsEnabled was seen false when
    the alarm rang, and was still so when the drill put it back."""
    target = widened(tmp_path, {"ap-northeast-3": "canaryAlerm-ap-northeast-3"})
    twin = (*TWIN, "witness_with_its_actions_off", f"--target={target}", "--lab-set=alarm.actions=on")
    drilled = drill(tmp_path, *twin)
    assert drilled.code == 0, drilled.output
    (off,) = [event for event in drilled.events("fault.injected") if event["kind"] == "cloudwatch.actions"]
    assert "MetricAlarms[0].ActionsEnabled" in str(off["observed"])
    assert off["number"] in [event["number"] for event in drilled.events("fault.held")]
    assert "ALARM" in drilled.seen("aws.alarm.standby")
    assert drilled.seen("aws.execution.initiator")[-1] == "1:SUCCEEDED"


def test_a_rule_disarmed_in_time_turns_nothing_round(tmp_path: Path) -> None:
    """The same failback is one: the failover machine never runs again. A stall of this machine fails single writes,
    of which the finding forgives none: then the drill is repeated, and what must not happen may happen in none."""
    for number in range(ATTEMPTS):
        drilled = drill(tmp_path / str(number), *TWIN, "rule_disarmed_before_failback", *TARGET)
        assert not turned_round(drilled)
        if drilled.code == 0:
            break
    assert drilled.code == 0, drilled.output


def test_a_lost_region_is_asked_first_and_that_is_the_end(tmp_path: Path) -> None:
    """Nobody is refused, nobody is served again, and the machine fails where it tells Tokyo to stop."""
    drilled = exposed(tmp_path, "test_whole_region_unreachable", "--set=timings.window_s=650")
    assert drilled.finding("recovery time, failover")["verdict"] == "FAIL"
    notes = " ".join(drilled.verdict["notes"])
    assert "ExecutionFailed" in notes
    assert "at its step StopSource" in notes


def test_a_region_that_is_lost_as_a_whole_answers_nobody(tmp_path: Path) -> None:
    """The drill of the lost network in a lab whose Tokyo takes its API along: the machine waits for it in vain at its
    first step, the harness's own looks at it bring nothing, and clients are never served again."""
    lost = ("--lab-set=region.loss=whole", "--set=timings.window_s=650")
    drilled = exposed(tmp_path, "test_network_of_the_region_lost", *lost)
    assert drilled.finding("recovery time, failover")["verdict"] == "FAIL"
    notes = " ".join(drilled.verdict["notes"])
    assert "at its step StopSource" in notes
    assert "Timedout" in notes
    assert drilled.unseen("aws.ecs.transaction") >= FEW
    assert drilled.unseen("aws.alarm.standby") == 0


def test_a_lost_network_alone_is_survived(tmp_path: Path) -> None:
    """The same black hole with an API that answers: the machine runs, clients are served, PASS."""
    drilled = kept(tmp_path, "-m", "failover", "-k", "test_network_of_the_region_lost")
    assert drilled.code == 0, drilled.output
    assert set(drilled.journal().values()) <= {"restored", "reached"}


def test_a_flag_that_cannot_be_read_does_not_stop_tokyo(tmp_path: Path) -> None:
    """Osaka serves in time, and all the while Tokyo acknowledged writes behind its back."""
    drilled = kept(tmp_path, "-m", "failover", "-k", "test_quiesce_without_margin")
    assert drilled.code == 1, drilled.output
    assert set(drilled.journal().values()) <= {"restored", "reached"}
    assert drilled.finding("recovery time, failover")["verdict"] != "FAIL"
    assert drilled.finding("quiet, ap-northeast-1")["verdict"] == "FAIL"


def test_a_black_hole_is_felt_until_the_system_is_moved(tmp_path: Path) -> None:
    """With the automation left disarmed clients hang to the end."""
    drilled = drill(tmp_path, *TWIN, "network_lost_and_nobody_armed", *TARGET, *QUICK, *SHORT)
    assert drilled.code == 1, drilled.output
    assert drilled.finding("recovery time, failover")["verdict"] == "FAIL"
    assert drilled.events("fault.injected")[0]["kind"] == "ec2.network_acl"


@pytest.mark.parametrize("twin", ["second_outage_by_hand", "second_witness_soon", "stop_flag_readable"])
def test_without_the_weak_point_the_same_drill_passes(tmp_path: Path, twin: str) -> None:
    """One thing is as the system's documents want it, and every promise is kept."""
    drilled = kept(tmp_path, *TWIN, twin)
    assert drilled.code == 0, drilled.output


@pytest.mark.parametrize(
    ("twin", "code", "words"),
    [("nothing_to_abort", 11, "was not seen within"), ("machine_left_alone", 0, "states.start reached")],
)
def test_the_half_state_is_what_the_drill_fails_for(tmp_path: Path, twin: str, code: int, words: str) -> None:
    """Without a machine to abort it is INVALID; with the machine left alone the same drill passes."""
    drilled = drill(tmp_path, *TWIN, twin, *TARGET)
    assert drilled.code == code, drilled.output
    assert words in str(drilled.verdict)
